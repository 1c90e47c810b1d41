# SPDX-License-Identifier: LGPL-2.1-or-later
"""Passwords of bundle servers while RAUC streams, and the path of the relay, which is a secret, too."""
import pytest

from components import component
from fetching import NAME_OF_NOTHING, ask, ca_file, charger_that, expect_installed
