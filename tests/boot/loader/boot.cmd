# SPDX-License-Identifier: LGPL-2.1-or-later
# U-Boot's choice between the slots A and B (/dev/vda2, /dev/vda3), with RAUC's variables: BOOT_ORDER, BOOT_A_LEFT and
# BOOT_B_LEFT.  They lie in one sector at 0x80000 of the disk (fw_env.config), so that no power cut leaves half of them.
setenv BOOT_ORDER "A B"
setenv BOOT_A_LEFT 3
setenv BOOT_B_LEFT 3
setenv sector 0x400
setenv buffer 0x2000000
virtio read ${buffer} ${sector} 1
env import -c ${buffer} 0x200 BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT

# The first slot of the order with an attempt left; this U-Boot cannot reckon.
setenv slot
for candidate in ${BOOT_ORDER}; do
  if test -z "${slot}"; then
    if test "${candidate}" = "A"; then setenv left ${BOOT_A_LEFT}; else setenv left ${BOOT_B_LEFT}; fi
    if test "${left}" = "3"; then setenv slot ${candidate}; setenv after 2; fi
    if test "${left}" = "2"; then setenv slot ${candidate}; setenv after 1; fi
    if test "${left}" = "1"; then setenv slot ${candidate}; setenv after 0; fi
  fi
done
if test "${slot}" = "A"; then setenv BOOT_A_LEFT ${after}; setenv root /dev/vda2; setenv part 2; fi
if test "${slot}" = "B"; then setenv BOOT_B_LEFT ${after}; setenv root /dev/vda3; setenv part 3; fi
# No attempt left anywhere: begin anew rather than stand still for ever.
if test -z "${slot}"; then setenv BOOT_A_LEFT 3; setenv BOOT_B_LEFT 3; fi
env export -c -s 0x200 ${buffer} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
virtio write ${buffer} ${sector} 1
if test -z "${slot}"; then echo LOADER none left; reset; fi

echo LOADER slot=${slot} left=${after} order=${BOOT_ORDER}
setenv bootargs "root=${root} rauc.slot=${slot} @CMDLINE@"
load virtio 0:${part} 0x4000000 /boot/vmlinuz
setenv size ${filesize}
load virtio 0:${part} 0x8000000 /boot/initrd
zboot 0x4000000 ${size} 0x8000000 ${filesize}
echo LOADER not bootable
reset
