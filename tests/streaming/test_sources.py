# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where bundles can be streamed from: the rows of the table in src/adapter/README.md for a RAUC that streams."""
import pytest

from components import component
from fetching import HAPPY, NO_INSTALL, ask, events, expect_installed, reasons
from servers import Ftp, Nginx
from streams import NAME, publish, size_of, streaming_charger

_component = component("test_sources")
test_server = _component.test_server
test_the_table_has_no_other_rows = _component.test_the_table_has_no_other_rows
