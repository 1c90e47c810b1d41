#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Process 1 of the guest.  Its root is the host's, read-only; run.py hands over, by the kernel's command line:
#
#   guest_share   a folder of the host's: `settings` and `command` are read, `exit-code` and `logs/` are written
#
# `settings` names the project's folder (top) and the one of its folders that may be written (writable).
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
readonly LOG_MAX=1024k

mount -t proc proc /proc
mount -t sysfs sys /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
for folder in /run /tmp /var/tmp /dev/shm; do
    mount -t tmpfs -o mode=1777,size=80% tmpfs "$folder"
done
mkdir /run/share
mount -t hostfs -o "${guest_share:?}" share /run/share
# shellcheck source=/dev/null
. /run/share/settings
# The project may lie below a folder that was just covered.
mkdir -p "${top:?}"
mount -t hostfs -o "$top" top "$top"
mount -o remount,ro "$top"
mount -t hostfs -o "${writable:?}" writable "$writable"

# Before anybody needs them: loaded on demand, RAUC 1.13 would meet them half ready.
mkdir -p /run/modules/lib
ln -s /usr/lib/uml/modules /run/modules/lib/modules
for module in loop squashfs aes_generic cbc sha256_generic dm-mod dm-verity dm-crypt nbd sch_netem veth; do
    modprobe -d /run/modules "$module" || echo "no module $module"
done
ip link set lo up

stty -opost < /dev/tty1
bash /run/share/command < /dev/null > /dev/tty1 2>&1
code=$?
if [ "$code" != 0 ]; then
    mkdir /run/share/logs
    (cd /tmp && find . -name '*.log' -size -"$LOG_MAX" -exec cp --parents -t /run/share/logs {} +)
fi
echo "$code" > /run/share/exit-code
sync
echo o > /proc/sysrq-trigger
sleep 60
