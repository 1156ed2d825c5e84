#!/usr/bin/env python3
"""Compiles WGSL files as browsers do, with Tint in headless Chromium, and fails with what that says against them.

    cellprobe shaders --dump wgsl && tests/tint.py wgsl/*.wgsl

Tint is stricter than naga: it must see that a barrier is met by all invocations. Files that enable an extension of wgpu's
own are left out. Needs Chromium 144 or later; no GPU.
"""

import http.server
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "chrome"]
FLAGS = [
    "--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-quic", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
]
SECONDS = 300

# Rejected, unless the check is blind.
CONTROL = "control"
CONTROL_WGSL = """
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) {
    if (thread < 32u) { workgroupBarrier(); }
}
"""

PAGE = """<!doctype html><script type="module">
async function compileAll() {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) throw 'no adapter';
  const device = await adapter.requestDevice({requiredFeatures: ['subgroups']});
  const said = {};
  for (const [name, code] of Object.entries(await (await fetch('/shaders')).json())) {
    const {messages} = await device.createShaderModule({code}).getCompilationInfo();
    said[name] = messages.map(({type, lineNum, linePos, message}) => `${lineNum}:${linePos}: ${type}: ${message}`);
  }
  return {said};
}
const body = JSON.stringify(await compileAll().catch(error => ({failure: String(error)})));
await fetch('/', {method: 'POST', body});
</script>"""


def compile_all(shaders):
    """What Tint says of each shader."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("tint.py: there is no Chromium here (package chromium)")
    answer, arrived = {}, threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = {"/": ("text/html", PAGE), "/shaders": ("application/json", json.dumps(shaders))}.get(self.path)
            self.send_response(200 if found else 404)
            if found:
                self.send_header("Content-Type", found[0])
            self.end_headers()
            self.wfile.write((found or ("", ""))[1].encode())

        def do_POST(self):
            answer.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            arrived.set()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, \
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, tempfile.TemporaryFile("w+") as log:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        command = [browser, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", address]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            arrived.wait(SECONDS)
        finally:
            process.terminate()
            process.wait()
            server.shutdown()
        if "said" not in answer:
            log.seek(0)
            sys.exit(f"{log.read()}tint.py: {answer.get('failure', f'no answer in {SECONDS} s')}")
    return answer["said"]


def main():
    files = sys.argv[1:]
    if not files:
        sys.exit(__doc__)
    shaders = {CONTROL: CONTROL_WGSL}
    for file in files:
        text = pathlib.Path(file).read_text()
        if re.search(r"^enable wgpu_", text, re.MULTILINE):
            continue
        # naga does without the directive, and knows none such.
        shaders[file] = ("enable subgroups; " if re.search(r"\bsubgroup", text) else "") + text
    said = compile_all(shaders)
    if not any(": error: " in message for message in said.pop(CONTROL)):
        sys.exit("tint.py: a barrier that not all invocations meet was accepted: nothing was checked")
    rejected = {name: messages for name, messages in said.items() if messages}
    for name, messages in rejected.items():
        for message in messages:
            print(f"{name}:{message}")
    print(f"{len(said)} shaders, " + (f"{len(rejected)} with complaints" if rejected else "all accepted by Tint"))
    sys.exit(1 if rejected else 0)


main()
