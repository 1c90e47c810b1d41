#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes the disk of a charger as it comes from the factory: its first slot is filled, the second one empty.
#
#   disk.sh uboot|grub SLOT_IMAGE OUTPUT
#
#   partition 1   the boot loader's own, and RAUC's system.conf
#   2, 3          slots A and B
#   4             /data
# Neither root nor a loop device is needed.
set -euo pipefail

# MiB
readonly LOADER_START=1 LOADER=8 SLOT=80 DATA=128
loader=$1 image=$2 output=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "$output.parts-XXXXXX")
trap 'rm -rf "$work"' EXIT
cmdline=$(cat "$here/loader/cmdline")
mkdir -p "$work/loader" "$work/data/agent" "$work/data/agent.conf.d" "$work/data/rauc"

a=$((LOADER_START + LOADER)) b=$((LOADER_START + LOADER + SLOT)) data=$((LOADER_START + LOADER + 2 * SLOT))
rm -f "$output"
truncate -s $((data + DATA + 1))M "$output"
sfdisk -q "$output" << EOT
label: dos
label-id: 0x72617563
start=${LOADER_START}MiB, size=${LOADER}MiB, type=83, bootable
start=${a}MiB, size=${SLOT}MiB, type=83
start=${b}MiB, size=${SLOT}MiB, type=83
start=${data}MiB, size=${DATA}MiB, type=83
EOT

put() { # put FILE MIB
    dd if="$1" of="$output" bs=1M seek="$2" conv=notrunc,sparse status=none
}

case $loader in
uboot)
    settings=bootloader=uboot
    sed "s|@CMDLINE@|$cmdline|" "$here/loader/boot.cmd" > "$work/boot.cmd"
    mkimage -A x86 -T script -C none -n boot -d "$work/boot.cmd" "$work/loader/boot.scr" > /dev/null
    printf 'BOOT_ORDER=A B\nBOOT_A_LEFT=3\nBOOT_B_LEFT=0\n' | mkenvimage -s 0x200 -o "$work/variables" -
    dd if="$work/variables" of="$output" bs=512 seek=1024 conv=notrunc status=none
    ;;
grub)
    settings=$'bootloader=grub\ngrubenv=/loader/grub/grubenv'
    modules=/usr/lib/grub/i386-pc
    mkdir "$work/loader/grub"
    sed "s|@CMDLINE@|$cmdline|" "$here/loader/grub.cfg" > "$work/loader/grub/grub.cfg"
    grub-editenv "$work/loader/grub/grubenv" create
    grub-editenv "$work/loader/grub/grubenv" set "ORDER=A B" A_OK=1 A_TRY=0 B_OK=0 B_TRY=0
    grub-mkimage -O i386-pc -d $modules -p '(hd0,msdos1)/grub' -o "$work/core" biosdisk part_msdos ext2 serial terminal \
        normal configfile loadenv test echo sleep reboot linux
    # Behind the partition table, where boot.img looks for it.
    dd if=$modules/boot.img of="$output" bs=440 count=1 conv=notrunc status=none
    dd if="$work/core" of="$output" bs=512 seek=1 conv=notrunc status=none
    ;;
*) echo "$0: $loader is no boot loader" >&2 && exit 2 ;;
esac
awk -v settings="$settings" '{ gsub("@LOADER@", settings); print }' "$here/loader/rauc.conf.in" > "$work/loader/rauc.conf"

truncate -s ${LOADER}M "$work/loader.ext2"
mke2fs -q -t ext2 -b 1024 -m 0 -L loader -E root_owner=0:0 -d "$work/loader" "$work/loader.ext2"
truncate -s ${DATA}M "$work/data.ext4"
mke2fs -q -t ext4 -b 4096 -m 0 -L data -E root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0 -d "$work/data" "$work/data.ext4"
put "$work/loader.ext2" $LOADER_START
put "$image" "$a"
put "$work/data.ext4" "$data"
