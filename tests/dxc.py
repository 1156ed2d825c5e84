#!/usr/bin/env python3
"""Compiles HLSL files as wgpu does behind Direct3D 12, with Microsoft's DXC, and fails with what that says against them.

    CELLPROBE_HLSL=hlsl cargo test --test translations && tests/dxc.py hlsl/*.hlsl

A file's name ends in `.ENTRY.hlsl`. DXC for Linux is 1.7, in a package of compushady's, which pip downloads. Products of
packed integers are left out: 1.7 makes calls of some that it then finds wrong, and wgpu asks for 1.8. Needs no GPU.
"""

import ctypes
import pathlib
import platform
import subprocess
import sys
import tarfile
import tempfile
import uuid

PACKAGE = "compushady==0.17.5"
COMPILER, COMPILER_3 = "73e22d93-e6ce-47f3-b5bf-f0664f39c1b0", "228b4687-5a6a-4730-900c-9702b2203f54"
RESULT, TEXT = "58346cda-dde7-4497-9461-6f87af5e0659", "3da636c9-ba71-4024-a301-30cbf125305b"
ERRORS, UTF8 = 2, 65001

# The exit status where there is no DXC to ask.
UNAVAILABLE = 3

# Places in the tables of DXC's objects. Before an interface's own methods come IUnknown's three and, in versions before
# 1.8 outside Windows, two of its destructor.
OWN = 5
RELEASE, COMPILE, GET_STATUS, GET_OUTPUT = 2, OWN, OWN, OWN + 4
GET_STRING = OWN + 3

# The first must be taken and the second rejected, or the check is blind.
CONTROLS = {
    "good": "[numthreads(64, 1, 1)] void main() { GroupMemoryBarrierWithGroupSync(); }",
    "bad": "float4 zero() { return 0; } float4 zero() { return 0; } [numthreads(64, 1, 1)] void main() {}",
}


class Source(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char_p), ("bytes", ctypes.c_size_t), ("encoding", ctypes.c_uint32)]


def guid(text):
    return ctypes.create_string_buffer(uuid.UUID(text).bytes_le, 16)


def call(result, thing, place, *arguments):
    """Calls the method at a place of an object's table."""
    table = ctypes.cast(thing, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p))).contents
    types = [ctypes.c_void_p, *(type(argument) for argument in arguments)]
    return ctypes.CFUNCTYPE(result, *types)(table[place])(thing, *arguments)


def pointer(thing):
    return ctypes.cast(ctypes.pointer(thing), ctypes.c_void_p)


class Dxc:
    def __init__(self, library):
        create = ctypes.CDLL(library).DxcCreateInstance
        self.compiler = ctypes.c_void_p()
        if create(guid(COMPILER), guid(COMPILER_3), ctypes.byref(self.compiler)) != 0:
            sys.exit("dxc.py: DXC gives no compiler")

    def rejects(self, text, entry):
        """What DXC says against an entry point; nothing if it compiles."""
        text = text.encode()
        source = Source(text, len(text), UTF8)
        words = ["-E", entry, "-T", "cs_6_4", "-HV", "2018", "-no-warnings", "-Ges"]
        arguments = (ctypes.c_wchar_p * len(words))(*words)
        result, status, said = ctypes.c_void_p(), ctypes.c_int32(-1), ctypes.c_void_p()
        iid, count, none = pointer(guid(RESULT)), ctypes.c_uint32(len(words)), ctypes.c_void_p()
        call(ctypes.c_int32, self.compiler, COMPILE, pointer(source), pointer(arguments), count, none, iid, pointer(result))
        call(ctypes.c_int32, result, GET_STATUS, pointer(status))
        if status.value == 0:
            call(ctypes.c_uint32, result, RELEASE)
            return ""
        call(ctypes.c_int32, result, GET_OUTPUT, ctypes.c_uint32(ERRORS), pointer(guid(TEXT)), pointer(said), none)
        message = call(ctypes.c_char_p, said, GET_STRING).decode() if said else "no reason given"
        call(ctypes.c_uint32, result, RELEASE)
        return message.strip() or "no reason given"


def download(folder):
    """The path of DXC's library."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", folder]
    if subprocess.run([*pip, PACKAGE]).returncode != 0:
        print(f"dxc.py: pip does not bring {PACKAGE}", file=sys.stderr)
        sys.exit(UNAVAILABLE)
    [package] = pathlib.Path(folder).glob("compushady-*.tar.gz")
    with tarfile.open(package) as files:
        [library] = [one for one in files if f"libdxcompiler_{platform.machine()}.so" in one.name]
        path = pathlib.Path(folder, "libdxcompiler.so")
        path.write_bytes(files.extractfile(library).read())
    return path


def main(paths):
    if not paths:
        sys.exit("dxc.py: no files")
    with tempfile.TemporaryDirectory() as folder:
        dxc = Dxc(download(folder))
        if dxc.rejects(CONTROLS["good"], "main") or not dxc.rejects(CONTROLS["bad"], "main"):
            sys.exit("dxc.py: the check is blind")
        taken, failed = 0, 0
        for path in map(pathlib.Path, paths):
            text = path.read_text()
            if "dot4add_" in text:
                continue
            against = dxc.rejects(text, path.name.split(".")[-2])
            taken, failed = taken + (not against), failed + bool(against)
            if against:
                print(f"{path.name}:\n{against}")
    print(f"DXC: {taken} kernels accepted, {failed} rejected")
    sys.exit(bool(failed))


main(sys.argv[1:])
