#!/usr/bin/env bash
# Runs a command with a newer lavapipe than the system's, in a small Debian of its own: Mesa 26 multiplies cooperative
# matrices, 8 x 8, which no other software driver does. Wants root, and Debian's debootstrap; see `.ci/run`.
#
#     tests/newer_lavapipe.sh target/debug/cellprobe verify --device gpu
set -euo pipefail

root=${CELLPROBE_LAVAPIPE:-/var/cache/cellprobe-lavapipe}
if [ ! -e "$root/complete" ]; then
    command -v debootstrap >/dev/null || apt-get install -y -qq debootstrap
    rm -rf "$root"
    debootstrap --variant=minbase trixie "$root"
    sed 's/ trixie / trixie-backports /' "$root/etc/apt/sources.list" >"$root/etc/apt/sources.list.d/backports.list"
    chroot "$root" apt-get update -qq
    chroot "$root" apt-get install -y -qq --no-install-recommends -t trixie-backports mesa-vulkan-drivers libvulkan1
    touch "$root/complete"
fi >&2

# What is mounted is seen by the command alone, and gone with it.
export root here="$PWD"
exec unshare --mount bash -euo pipefail -c '
    for folder in /proc /dev "$here" "${CARGO_TARGET_DIR:-$here}"; do
        mkdir -p "$root$folder"
        mount --rbind "$folder" "$root$folder"
    done
    cd "$here"
    unset VK_ICD_FILENAMES
    export VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json HOME=/root
    exec chroot "$root" /usr/bin/env -C "$here" "$@"
' bash "$@"
