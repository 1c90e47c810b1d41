#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs the Debian packages that are missing for what is named: build, test, guest, boot, bench, lint, demo.
# Does nothing, and needs no root, when none is missing.
set -euo pipefail

build=(gcc libc6-dev make git pkg-config libglib2.0-dev libwebsockets-dev libwebsockets-evlib-glib libjansson-dev libssl-dev libsqlite3-dev libcurl4-openssl-dev)
demo=(rauc squashfs-tools dbus libglib2.0-bin openssl util-linux python3)
servers=(nginx python3-pyftpdlib python3-openssl vsftpd openssh-server openssh-sftp-server)
tests=("${demo[@]}" "${servers[@]}" ca-certificates casync check curl faketime iproute2 patch python3-pytest python3-pytest-xdist python3-jsonschema xz-utils)
bench=("${demo[@]}" curl nginx strace time)
guest=(user-mode-linux mmdebstrap debian-archive-keyring kmod)
boot=(qemu-system-x86 u-boot-qemu u-boot-tools grub-common grub-pc-bin mmdebstrap debian-archive-keyring e2fsprogs fdisk cpio kmod xz-utils binutils socat)
lint=(clang clang-format clang-tidy cppcheck shellcheck codespell check)

wanted=()
for purpose in "$@"; do
    case $purpose in
    build) wanted+=("${build[@]}") ;;
    demo) wanted+=("${demo[@]}") ;;
    test) wanted+=("${tests[@]}") ;;
    bench) wanted+=("${bench[@]}") ;;
    guest) wanted+=("${guest[@]}") ;;
    boot) wanted+=("${boot[@]}") ;;
    lint) wanted+=("${lint[@]}") ;;
    *)
        echo "usage: $0 build|demo|test|guest|boot|bench|lint ..." >&2
        exit 2
        ;;
    esac
done

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || :)
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "missing packages, to be installed as root: apt-get install ${missing[*]}" >&2
    exit 1
fi
# The tests run servers of their own; none of these packages is to serve this machine, now or after its next start.
readonly POLICY=/usr/sbin/policy-rc.d
if [ ! -e "$POLICY" ]; then
    trap 'rm -f "$POLICY"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$POLICY"
    chmod 755 "$POLICY"
fi

disable() { # disable SERVICE
    if command -v systemctl > /dev/null; then
        systemctl --quiet disable "$1"
    else
        update-rc.d "$1" disable
    fi
}

echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
for package in "${missing[@]}"; do
    case $package in
    nginx | vsftpd) disable "$package" ;;
    openssh-server) disable ssh ;;
    esac
done
