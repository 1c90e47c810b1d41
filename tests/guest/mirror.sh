#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Prints the Debian mirror and the proxy that this host's apt uses, a line each; the second one is empty where there is none.
set -euo pipefail

# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# shellcheck disable=SC2016  # apt expands it
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' "Codename: $codename" | head -n 1)
proxy=""
eval "$(apt-config shell proxy Acquire::http::Proxy)"
printf '%s\n' "${mirror:-http://deb.debian.org/debian}" "$proxy"
