# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's OpenSSH server, for sftp with a password, with its file accesses as data."""
import base64
import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from simdevice.process import DEADLINE, wait_until

from .sandbox import SandboxedServer

_SESSION = "/usr/lib/openssh/sftp-server -e -l VERBOSE -d /srv 2>>/run/session.log"
_CLOSE = re.compile(r'^(?:forced )?close "(/srv/[^"]*)" bytes read (\d+) written (\d+)', re.MULTILINE)


@dataclass
class Reading:
    """One time that a file was opened, read or written, and closed."""
    path: str
    bytes: int      # read from it
    written: int    # to it


class Sftp(SandboxedServer):
    """Has a host key of its own; `sha256` (base64, no padding) and `md5` (hex) are its fingerprints, `known_hosts` a
    file that names it.  URLs are /srv/NAME."""
    scheme = "sftp"
    _READY = "Server listening on"

    def __init__(self, folder: Path, *, user: tuple[str, str], address: str = "127.0.0.1", uploads: bool = False,
                 room: int = 0):
        super().__init__(folder, address=address, user=user, uploads=uploads, room=room)
        self._host_key = folder / "host-key"
        self.change_host_key()

    def change_host_key(self) -> None:
        """Another host, or somebody in the middle; counts from the next start on."""
        self._host_key.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self._host_key)], check=True)

    @property
    def known_hosts(self) -> Path:
        file = self.folder / "known_hosts"
        file.write_text(f"[{self.address}]:{self.port} {self._public_key()}\n")
        return file

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256(self._key_blob()).digest()
        return base64.b64encode(digest).decode().rstrip("=")

    @property
    def md5(self) -> str:
        return hashlib.md5(self._key_blob(), usedforsecurity=False).hexdigest()

    def url(self, name: str) -> str:
        return super().url(f"srv/{name.lstrip('/')}")

    def readings(self, name: Optional[str] = None) -> list[Reading]:
        """Those that have ended, oldest first; all, or those of one file."""
        entries = _CLOSE.findall(self.session_log.read_text())
        found = [Reading(path, int(size), int(written)) for path, size, written in entries]
        return [reading for reading in found if name is None or reading.path == f"/srv/{name.lstrip('/')}"]

    def wait_readings(self, count: int, name: Optional[str] = None, timeout: float = DEADLINE) -> list[Reading]:
        wait_until(lambda: len(self.readings(name)) >= count, f"{count} readings of {name or 'any file'}", timeout)
        return self.readings(name)

    def body_bytes(self) -> int:
        return sum(reading.bytes for reading in self.readings())

    def logins(self) -> tuple[int, int]:
        """How many passwords were (right, wrong) so far."""
        text = self.log_text()
        return text.count("Accepted password"), text.count("Failed password")

    def _public_key(self) -> str:
        return " ".join(self._host_key.with_suffix(".pub").read_text().split()[:2])

    def _key_blob(self) -> bytes:
        return base64.b64decode(self._public_key().split()[1])

    def _argv(self) -> list[str]:
        config = self.folder / "sshd_config"
        config.write_text("\n".join([
            f"ListenAddress {self.address}:{self.port}", f"HostKey {self._host_key}", "PidFile none", "UsePAM no",
            "PasswordAuthentication yes", "PubkeyAuthentication no", "KbdInteractiveAuthentication no", "UseDNS no",
            "PrintMotd no", "PrintLastLog no", "Subsystem sftp internal-sftp", f"ForceCommand {_SESSION}", ""]))
        return self._sandboxed(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)])
