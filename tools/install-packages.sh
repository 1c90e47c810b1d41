#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs the Debian packages that are missing for what is named: build, test, lint, demo.
# Does nothing, and needs no root, when none is missing.
set -euo pipefail

build=(gcc libc6-dev make git pkg-config libglib2.0-dev libwebsockets-dev libwebsockets-evlib-glib libjansson-dev libssl-dev libsqlite3-dev libcurl4-openssl-dev)
demo=(rauc squashfs-tools dbus libglib2.0-bin openssl util-linux python3)
tests=("${demo[@]}" check faketime iproute2 python3-pytest python3-pytest-xdist python3-jsonschema)
lint=(clang clang-format clang-tidy cppcheck shellcheck codespell check)

wanted=()
for purpose in "$@"; do
    case $purpose in
    build) wanted+=("${build[@]}") ;;
    demo) wanted+=("${demo[@]}") ;;
    test) wanted+=("${tests[@]}") ;;
    lint) wanted+=("${lint[@]}") ;;
    *)
        echo "usage: $0 build|demo|test|lint ..." >&2
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
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
