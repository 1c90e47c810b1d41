#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# RAUC's custom boot loader backend of the simulated charger, and its post-install handler.
#
# RAUC calls it by a link in the device's boot directory, where its state is: `env`, written in one step (see
# bootenv.py for the rules it shares with the loader), `log` and, of the calls that have changed it, `effects`; `booted`, and the
# switches that tests set:
# hold-VERB makes the call wait until the file is gone, hold-VERB-ARGUMENT... makes only such a call wait; then fail-VERB
# makes it fail without any effect.
set -u

state=${0%/*}
readonly attempts=3 hold_limit=2400 # holds: times 0.05 s

case ${0##*/} in
post-install) verb=post-install && set -- ;;
*) verb=${1:-} && shift ;;
esac

read -r uptime _ < /proc/uptime
line="$uptime $verb $*"
echo "$line" >> "$state/log"

call=$verb
for argument in "$@"; do
    call=$call-$argument
done

# A held call must not go on when RAUC is gone, or it would switch the loader long after a kill.
held=0
while [ -e "$state/hold-$verb" ] || [ -e "$state/hold-$call" ]; do
    held=$((held + 1))
    if [ "$held" -gt "$hold_limit" ] || ! kill -0 "$PPID" 2> /dev/null; then
        exit 1
    fi
    sleep 0.05
done
if [ -e "$state/fail-$verb" ]; then
    echo "$verb fails because the test wants it" >&2
    exit 1
fi

order="" left_A=0 left_B=0
while IFS='=' read -r key value; do
    case $key in
    BOOT_ORDER) order=$value ;;
    BOOT_A_LEFT) left_A=$value ;;
    BOOT_B_LEFT) left_B=$value ;;
    esac
done < "$state/env"

save() {
    printf 'BOOT_ORDER=%s\nBOOT_A_LEFT=%s\nBOOT_B_LEFT=%s\n' "$order" "$left_A" "$left_B" > "$state/env.backend"
    mv "$state/env.backend" "$state/env"
    echo "$line" >> "$state/effects"
}

# attempts_of SLOT: into $left
attempts_of() {
    case $1 in
    A) left=$left_A ;;
    B) left=$left_B ;;
    *) exit 1 ;;
    esac
}

set_attempts() {
    case $1 in
    A) left_A=$2 ;;
    B) left_B=$2 ;;
    *) exit 1 ;;
    esac
}

# others_than SLOT: the rest of the order, into $others
others_than() {
    others=""
    for slot in $order; do
        [ "$slot" = "$1" ] || others="${others:+$others }$slot"
    done
}

case $verb in
post-install) ;;
get-current)
    cat "$state/booted"
    ;;
get-primary)
    for slot in $order; do
        attempts_of "$slot"
        [ "$left" -gt 0 ] && echo "$slot" && exit 0
    done
    # All attempts used up: the loader refills them and begins with the first.
    echo "${order%% *}"
    ;;
set-primary)
    others_than "$1"
    set_attempts "$1" "$attempts"
    order="$1${others:+ $others}"
    save
    ;;
get-state)
    others_than "$1"
    attempts_of "$1"
    if [ "$others" != "$order" ] && [ "$left" -gt 0 ]; then echo good; else echo bad; fi
    ;;
set-state)
    others_than "$1"
    case ${2:-} in
    good)
        set_attempts "$1" "$attempts"
        [ "$others" != "$order" ] || order="${order:+$order }$1"
        ;;
    bad)
        set_attempts "$1" 0
        # The last slot of the order stays in it: the charger must boot something.
        order=${others:-$order}
        ;;
    *) exit 1 ;;
    esac
    save
    ;;
*) exit 1 ;;
esac
