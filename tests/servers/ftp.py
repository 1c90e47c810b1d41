# SPDX-License-Identifier: LGPL-2.1-or-later
"""pyftpdlib for ftp and ftps (explicit and implicit), with its commands and transfers as data."""
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from simdevice.process import DEADLINE, wait_until

from .base import Server, free_port, free_ports
from .nginx import Tls

_FTPD = Path(__file__).with_name("ftpd.py")
_PASSIVE_PORTS = 6


@dataclass
class Command:
    """A command that came in (`verb`, `argument`), or the end of a transfer (verb "sent" or "received", `bytes` of it)."""
    session: int        # its number
    verb: str
    argument: str = ""
    bytes: int = 0


class Ftp(Server):
    """`security` is "" (plain), "explicit" (AUTH TLS, required; the URL is ftp://) or "implicit" (ftps://).

    Without a user everybody comes in as "anonymous".  Data connections use `passive_ports`.
    """
    _READY = "ftpd: listening"

    def __init__(self, folder: Path, *, user: Optional[tuple[str, str]] = None, security: str = "",
                 tls: Optional[Tls] = None, rest: bool = True, address: str = "127.0.0.1",
                 uploads: bool = False, quota: int = 0, limit: int = 0):
        """`rest=False`: as a server that does not know REST.  `quota`: a file that gets longer ends with 552, as with
        servers that know quotas; `limit`: it cannot be written (EFBIG), as on a full disk."""
        super().__init__(folder, address=address, user=user)
        assert security in ("", "explicit", "implicit") and bool(security) == bool(tls)
        self.security, self.tls, self.rest = security, tls, rest
        self.uploads, self.quota, self.limit = uploads, quota, limit
        self._commands = folder / "commands.log"
        if uploads:
            self.make_incoming()

    @property
    def scheme(self) -> str:
        return "ftps" if self.security == "implicit" else "ftp"

    def commands(self, verb: Optional[str] = None) -> list[Command]:
        """Oldest first; all, or those with this verb.  The argument of PASS is not kept."""
        text = self._commands.read_text() if self._commands.exists() else ""
        lines = text[:text.rfind("\n") + 1].splitlines()
        entries = [Command(**json.loads(line)) for line in lines]
        return [entry for entry in entries if verb is None or entry.verb == verb]

    def wait_commands(self, count: int, verb: Optional[str] = None, timeout: float = DEADLINE) -> list[Command]:
        wait_until(lambda: len(self.commands(verb)) >= count, f"{count} times {verb or 'any command'}", timeout)
        return self.commands(verb)

    def body_bytes(self) -> int:
        """Bytes of all transfers that have ended."""
        return sum(entry.bytes for entry in self.commands("sent"))

    def _choose_ports(self) -> None:
        self.port = free_port()
        self.passive_ports = self.passive_ports or free_ports(_PASSIVE_PORTS)      # a Link mirrors them: they stay

    def _argv(self) -> list[str]:
        config = self.folder / "ftpd.json"
        config.write_text(json.dumps({
            "address": self.address, "port": self.port, "passive_ports": self.passive_ports, "files": str(self.files),
            "user": self.user, "security": self.security, "rest": self.rest, "uploads": self.uploads,
            "quota": self.quota, "commands": str(self._commands),
            "certificate": self.tls and str(self.tls.certificate_file), "key": self.tls and str(self.tls.key_file)}))
        config.chmod(0o600)
        limit = ["prlimit", f"--fsize={self.limit}"] if self.limit else []
        return [*limit, "/usr/bin/python3", str(_FTPD), str(config)]
