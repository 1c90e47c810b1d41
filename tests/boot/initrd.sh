#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: LGPL-2.1-or-later
# /init of the guest's initial RAM disk: loads the disk's driver and goes over to the slot that the boot loader named
# (root=).  It may fail only by ending: then the kernel panics, and restarts the machine.
readonly TRIES=100      # 50 ms each

/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
insmod /lib/virtio_blk.ko
root=""
# shellcheck disable=SC2013  # words, not lines
for word in $(cat /proc/cmdline); do
    case $word in root=*) root=${word#root=} ;; esac
done
i=0
while [ ! -b "$root" ] && [ $i -lt $TRIES ]; do
    usleep 50000
    i=$((i + 1))
done
mount -o ro "$root" /newroot
umount /proc
mount -o move /dev /newroot/dev
exec switch_root /newroot /sbin/init
