# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers whose users are users of the system: they get a view of it that has one user more.

The server runs in a mount and a process namespace of its own: its own passwd and shadow, its own /run, the published
files at /srv.  The host sees none of it, and nothing is left when the first process dies.
"""
import subprocess
from pathlib import Path
from typing import Optional

from .base import Server

_UID = 64123
# $1 is the server's folder, $2 the room for uploads (0: no limit); what follows is the server.  It is not the first process
# of its namespace, which would inherit orphans: vsftpd ends when it hears of a child that it does not know.  Absolute paths into the folder stay
# valid, except below /run and /srv.
_PREPARE = """set -eu
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/shadow" /etc/shadow
mount --bind "$1/files" /srv
[ ! -f "$1/pam" ] || mount --bind "$1/pam" /etc/pam.d/vsftpd
mount -t tmpfs -o mode=755 tmpfs /run
[ "$2" = 0 ] || mount -t tmpfs -o mode=777,size="$2" tmpfs /srv/incoming
mkdir -p /run/sshd /run/vsftpd/empty
touch /run/session.log
mount --bind "$1/session.log" /run/session.log
shift 2
"$@"
exit
"""


class SandboxedServer(Server):
    """`folder` must not lie below /run or /srv."""
    _GENTLE = False             # the first process of a namespace is not told to end, only killed

    def __init__(self, folder: Path, *, address: str, user: Optional[tuple[str, str]], uploads: bool = False,
                 room: int = 0):
        """`room`: so many bytes fit into the folder for uploads, which nobody sees from outside then."""
        super().__init__(folder, address=address, user=user)
        self.uploads, self.room = uploads, room
        if uploads:
            self.make_incoming(_UID)
        self.session_log = folder / "session.log"
        self.session_log.touch()
        self.session_log.chmod(0o666)

    def _sandboxed(self, server: list[str]) -> list[str]:
        """The command that runs `server` in its own view of the system."""
        self._write_accounts()
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", _PREPARE, "sandbox",
                str(self.folder), str(self.room), *server]

    def _write_accounts(self) -> None:
        name, hashed = "ftp", "*"                   # whom vsftpd serves anonymous logins as
        if self.user:
            name = self.user[0]
            done = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=self.user[1], capture_output=True,
                                  text=True, check=True)
            hashed = done.stdout.strip()
        users = "".join(line for line in Path("/etc/passwd").read_text().splitlines(keepends=True)
                        if not line.startswith(f"{name}:"))
        users += f"{name}:x:{_UID}:{_UID}::/srv:/bin/sh\n"
        passwords = f"{name}:{hashed}:19000:0:99999:7:::\n"
        (self.folder / "passwd").write_text(users)
        (self.folder / "passwd").chmod(0o644)
        (self.folder / "shadow").write_text(passwords)
        (self.folder / "shadow").chmod(0o600)
