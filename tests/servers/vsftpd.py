# SPDX-License-Identifier: LGPL-2.1-or-later
"""vsftpd for ftp and ftps: another opinion on FTP than pyftpdlib's, with its commands and transfers as data."""
import re
from pathlib import Path
from typing import Optional

from simdevice.process import DEADLINE, Process, wait_until

from .base import free_port, free_ports
from .ftp import Command
from .nginx import Tls
from .sandbox import SandboxedServer

_PASSIVE_PORTS = 6
_LINE = re.compile(r'\[pid (\d+)\] .*?(?:FTP command: Client "[^"]*", "(\w+) ?([^"\n]*)"'
                   r'|(?:OK|FAIL) (DOWNLOAD|UPLOAD): Client "[^"]*", "[^"]*", (\d+) bytes)')
_ENDS = {"DOWNLOAD": "sent", "UPLOAD": "received"}
_PAM = "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n"


class Vsftpd(SandboxedServer):
    """As servers.Ftp; `reuse`: data connections must continue the control connection's TLS session, as vsftpd wants it
    by default."""

    def __init__(self, folder: Path, *, user: Optional[tuple[str, str]] = None, security: str = "",
                 tls: Optional[Tls] = None, reuse: bool = True, address: str = "127.0.0.1", uploads: bool = False,
                 room: int = 0):
        super().__init__(folder, address=address, user=user, uploads=uploads, room=room)
        assert security in ("", "explicit", "implicit") and bool(security) == bool(tls)
        self.security, self.tls, self.reuse = security, tls, reuse

    @property
    def scheme(self) -> str:
        return "ftps" if self.security == "implicit" else "ftp"

    def commands(self, verb: Optional[str] = None) -> list[Command]:
        """Oldest first; all, or those with this verb; a transfer's end has the verb "sent" or "received"."""
        found = []
        for session, name, argument, way, size in _LINE.findall(self.session_log.read_text(errors="replace")):
            if name:
                found.append(Command(int(session), name, "" if name == "PASS" else argument))
            else:
                found.append(Command(int(session), _ENDS[way], bytes=int(size)))
        return [command for command in found if verb is None or command.verb == verb]

    def wait_commands(self, count: int, verb: Optional[str] = None, timeout: float = DEADLINE) -> list[Command]:
        wait_until(lambda: len(self.commands(verb)) >= count, f"{count} times {verb or 'any command'}", timeout)
        return self.commands(verb)

    def body_bytes(self) -> int:
        return sum(command.bytes for command in self.commands("sent"))

    def _choose_ports(self) -> None:
        self.port = free_port()
        self.passive_ports = self.passive_ports or free_ports(_PASSIVE_PORTS, together=True)

    def _listens(self, process: Process, said: str) -> bool:
        """vsftpd does not say when it listens."""
        server = _child(_child(process.pid))        # of the shell in the namespace, of unshare
        return self.port in listening_ports(server)

    def _argv(self) -> list[str]:
        (self.folder / "pam").write_text(_PAM)
        options = {
            "listen": "YES", "listen_ipv6": "NO", "background": "NO", "listen_address": self.address,
            "listen_port": self.port, "pasv_min_port": self.passive_ports[0], "pasv_max_port": self.passive_ports[-1],
            "anonymous_enable": "NO" if self.user else "YES", "local_enable": "YES" if self.user else "NO",
            "anon_root": "/srv", "local_root": "/srv", "chroot_local_user": "YES", "no_anon_password": "YES",
            "pam_service_name": "vsftpd", "secure_chroot_dir": "/run/vsftpd/empty", "nopriv_user": "nobody",
            "seccomp_sandbox": "NO", "xferlog_enable": "YES", "xferlog_std_format": "NO", "log_ftp_protocol": "YES",
            "vsftpd_log_file": "/run/session.log", "write_enable": "YES" if self.uploads else "NO",
            **self._tls_options()}
        config = self.folder / "vsftpd.conf"
        config.write_text("".join(f"{name}={value}\n" for name, value in options.items()))
        config.chmod(0o600)
        return self._sandboxed(["/usr/sbin/vsftpd", str(config)])

    def _tls_options(self) -> dict[str, object]:
        if not self.tls:
            return {}
        return {
            "ssl_enable": "YES", "rsa_cert_file": self.tls.certificate_file,
            "rsa_private_key_file": self.tls.key_file, "allow_anon_ssl": "YES",
            "force_local_logins_ssl": "YES", "force_local_data_ssl": "YES", "force_anon_logins_ssl": "YES",
            "force_anon_data_ssl": "YES", "ssl_ciphers": "HIGH",
            "implicit_ssl": "YES" if self.security == "implicit" else "NO",
            "require_ssl_reuse": "YES" if self.reuse else "NO"}


def _child(pid: int) -> int:
    """The first one; 0 without."""
    try:
        return int((Path(f"/proc/{pid}/task/{pid}/children").read_text().split() or ["0"])[0])
    except FileNotFoundError:
        return 0


def listening_ports(pid: int) -> set[int]:
    """The TCP ports (IPv4) on which a process listens."""
    try:
        sockets = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()                # it is just ending, or changing into another program
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}
