#!/usr/bin/env bash
# Runs a command with a newer driver of Mesa's than the system's, in a small Debian of its own. `radv` is Mesa 25, whose null
# device compiles cooperative matrices; `lavapipe` is Mesa 26, which multiplies them, 8 x 8, as no other software driver
# does. Wants root, and Debian's debootstrap; see `.ci/run`.
#
#     tests/newer_mesa.sh lavapipe target/debug/cellprobe verify --device gpu
set -euo pipefail

usage="$0 radv|lavapipe COMMAND..."
driver=${1:?$usage} all=${CELLPROBE_MESA:-/var/cache/cellprobe-mesa}
shift
case "$driver" in
    radv) file=radeon_icd.json ;;
    lavapipe) file=lvp_icd.json ;;
    *) echo "$usage" >&2; exit 2 ;;
esac

# The driver's Debian, with more of apt's arguments.
with_mesa() {
    chroot "$all/$driver" apt-get update -qq
    chroot "$all/$driver" apt-get install -y -qq --no-install-recommends "$@" mesa-vulkan-drivers libvulkan1
    touch "$all/$driver/complete"
}

if [ ! -e "$all/plain/complete" ]; then
    command -v debootstrap >/dev/null || apt-get install -y -qq debootstrap
    rm -rf "$all/plain"
    mkdir -p "$all"
    debootstrap --variant=minbase trixie "$all/plain"
    touch "$all/plain/complete"
fi >&2
if [ ! -e "$all/$driver/complete" ]; then
    rm -rf "${all:?}/$driver"
    cp -a "$all/plain" "$all/$driver"
    rm "$all/$driver/complete"
    if [ "$driver" = lavapipe ]; then
        list="$all/$driver/etc/apt/sources.list"
        sed 's/ trixie / trixie-backports /' "$list" >"$list.d/backports.list"
        with_mesa -t trixie-backports
    else
        with_mesa
    fi
fi >&2

# What is mounted is seen by the command alone, and gone with it.
export root="$all/$driver" here="$PWD" file
exec unshare --mount bash -euo pipefail -c '
    for folder in /proc /dev "$here" "${CARGO_TARGET_DIR:-$here}"; do
        mkdir -p "$root$folder"
        mount --rbind "$folder" "$root$folder"
    done
    cd "$here"
    unset VK_ICD_FILENAMES
    export VK_DRIVER_FILES=/usr/share/vulkan/icd.d/$file HOME=/root
    exec chroot "$root" /usr/bin/env -C "$here" "$@"
' bash "$@"
