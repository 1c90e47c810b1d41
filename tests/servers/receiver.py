# SPDX-License-Identifier: LGPL-2.1-or-later
"""Takes files by POST, multipart/form-data.

Not a real server: none that Debian has takes forms without a program behind it.  Python's http.server stands in for
nginx and such, its parser of mail for the program; the protocol is read by code that is not ours.
"""
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from simdevice.process import DEADLINE, wait_until

from .base import Server
from .nginx import Tls

_RECEIVERD = Path(__file__).with_name("receiverd.py")


@dataclass
class Form:
    """A POST that came in whole: its only field."""
    path: str
    field: str
    name: str       # of the file
    type: str       # of its content
    bytes: int
    expect: str     # the header, empty without


class Receiver(Server):
    _READY = "receiverd: listening"

    def __init__(self, folder: Path, *, tls: Optional[Tls] = None, user: Optional[tuple[str, str]] = None,
                 address: str = "127.0.0.1"):
        super().__init__(folder, address=address, user=user)
        self.tls = tls
        self.make_incoming()
        self._forms = folder / "forms.log"

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    def forms(self) -> list[Form]:
        text = self._forms.read_text() if self._forms.exists() else ""
        return [Form(**json.loads(line)) for line in text[:text.rfind("\n") + 1].splitlines()]

    def wait_forms(self, count: int, timeout: float = DEADLINE) -> list[Form]:
        wait_until(lambda: len(self.forms()) >= count, f"{count} forms", timeout)
        return self.forms()

    def _argv(self) -> list[str]:
        config = self.folder / "receiverd.json"
        config.write_text(json.dumps({
            "address": self.address, "port": self.port, "incoming": str(self.incoming), "forms": str(self._forms),
            "user": self.user, "certificate": self.tls and str(self.tls.certificate_file),
            "key": self.tls and str(self.tls.key_file)}))
        config.chmod(0o600)
        return ["/usr/bin/python3", str(_RECEIVERD), str(config)]
