#!/usr/bin/env bash
# Builds everything and runs every test on the CPU and on every Vulkan, Metal or DX12 adapter of this machine.
# Where there is no adapter, a software one is installed, so that the kernels are tested all the same.
set -euo pipefail
cd "$(dirname "$0")"

command -v cargo >/dev/null || { echo "test.sh: cargo is missing: install Rust first" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else return 1; fi
}

has_adapter() {
    "${CARGO_TARGET_DIR:-target}/debug/cellprobe" devices --json 2>/dev/null |
        grep -qE '"backend": ?"(vulkan|metal|dx12)"'
}

# The command comes with the tests; on its own it would be built with other features of its dependencies, once more.
cargo test --no-run

if ! has_adapter; then
    echo "test.sh: no GPU adapter here; installing lavapipe, Mesa's software Vulkan" >&2
    if command -v apt-get >/dev/null && as_root apt-get update -qq && as_root apt-get install -y -qq mesa-vulkan-drivers; then
        has_adapter || { echo "test.sh: lavapipe was installed, yet no Vulkan adapter shows" >&2; exit 1; }
    else
        echo "test.sh: could not install it. Install a Vulkan driver (package mesa-vulkan-drivers, vulkan-swrast or" >&2
        echo "test.sh: mesa-vulkan-lavapipe) and run this again; without one only the CPU can be tested:" >&2
        echo "test.sh:     CELLPROBE_TEST_DEVICES=cpu cargo test" >&2
        exit 1
    fi
fi

"${CARGO_TARGET_DIR:-target}/debug/cellprobe" devices
cargo test
