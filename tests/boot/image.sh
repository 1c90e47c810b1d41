#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes the image of one slot, reproducibly: two images of trees that differ little have most blocks in common.
#
#   image.sh TREE VERSION KIND OUTPUT
#
# KIND is good; changed (with 300 kB of its own); mute (the agent is not there), broken (its health check fails) or
# panics (neither has the kernel a process 1).
set -euo pipefail

readonly SIZE=78M UUID=72617563-0000-4000-8000-000000000001 HASH_SEED=72617563-0000-4000-8000-000000000002
tree=$1 version=$2 kind=$3 output=$4

work=$(mktemp -d "$output.tree-XXXXXX")
trap 'rm -rf "$work"' EXIT
cp -aT "$tree" "$work"
echo "$version" > "$work/etc/firmware-version"
case $kind in
good) ;;
changed) openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 -in /dev/zero 2> /dev/null | head -c 300000 > "$work/etc/changed" || : ;;
mute) rm "$work/usr/bin/rauc-ocpp-agent" ;;
broken) : > "$work/etc/broken" ;;
panics) rm -f "$work/usr/sbin/init" "$work/usr/lib/systemd/systemd" ;;
*) echo "$0: $kind is no kind" >&2 && exit 2 ;;
esac
find "$work" -exec touch -h -d @1700000000 {} +
rm -f "$output"
truncate -s "$SIZE" "$output"
E2FSPROGS_FAKE_TIME=1700000000 mke2fs -q -t ext4 -b 4096 -O ^has_journal -m 0 -U "$UUID" \
    -E "hash_seed=$HASH_SEED,lazy_itable_init=0,root_owner=0:0" -L rootfs -d "$work" "$output"
