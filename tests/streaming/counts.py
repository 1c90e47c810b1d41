# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a bundle server was asked for."""
from typing import NamedTuple


class Fetched(NamedTuple):
    requests: int
    bytes: int              # as asked for, not as sent


def fetched(server, file, name, start=0):
    """The requests for `name`, where the server has `file`, from the one with index `start` on."""
    size = file.stat().st_size
    requests = server.requests(name)[start:]
    total = 0
    for request in requests:
        first, _, last = (request.range or "bytes=0-").removeprefix("bytes=").partition("-")
        total += min(int(last or size), size - 1) + 1 - int(first)
    return Fetched(len(requests), total)
