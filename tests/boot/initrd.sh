#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: LGPL-2.1-or-later
# /init of the guest's initial RAM disk: loads the drivers, mounts the slot that the boot loader named (root=) and what both
# slots share, and goes over.  All that costs systemd and udev many processes: here they are few, and short.  It may fail only
# by ending: then the kernel panics, and restarts the machine.
set -e
readonly TRIES=100      # 50 ms each
readonly DRIVERS="failover net_failover virtio_net virtio-rng watchdog i6300esb"
# Before RAUC wants them, as the agent's README asks for.
readonly STREAMING="nbd dm-mod dm-bufio reed_solomon dm-verity"

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
cd /newroot/usr/lib/modules/*
for module in $DRIVERS $STREAMING; do
    case $module in nbd) parameters=nbds_max=4 ;; *) parameters="" ;; esac
    # shellcheck disable=SC2086  # none, rather than an empty one
    insmod "$module.ko" $parameters
done
cd /newroot
mount -t ext2 -o sync,noatime /dev/vda1 loader
mount -t ext4 -o noatime /dev/vda4 data
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs var
mkdir -p var/lib/rauc-ocpp-agent var/log
mkdir -m 1777 var/tmp
ln -s /run var/run
mount -o bind data/agent var/lib/rauc-ocpp-agent
umount /proc
mount -o move /dev dev
exec switch_root /newroot /sbin/init
