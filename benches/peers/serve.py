"""The program that runs cellprobe, as Python sees it."""
import json, subprocess, sys
from pathlib import Path

HERE = Path(__file__).parent


def built():
    """Builds it."""
    if not hasattr(built, "path"):
        command = ["cargo", "bench", "--no-run", "--bench", "peers", "--message-format=json"]
        lines = subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
        made = [message for message in map(json.loads, lines)
                if message.get("executable") and message["target"]["name"] == "peers"]
        built.path = made[-1]["executable"]
    return built.path


class Cellprobe:
    def __init__(self, env=None):
        self.process = subprocess.Popen([built()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def ask(self, **request):
        print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"cellprobe ended at {request}")
        return json.loads(line)
