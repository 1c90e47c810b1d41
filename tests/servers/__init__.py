# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real servers that bundles are fetched from, each a process of its own, and a bad line between.

    with Nginx(folder / "web", tls=Tls(pki)) as server, Link(server) as link:
        url = link.url(server.publish(bundle, "v2.raucb"))
        ...
        link.cut()                      # the connections break
        server.wait_requests(2)

`Nginx` speaks http and https, `Ftp` (pyftpdlib) and `Vsftpd` ftp and ftps, `Sftp` (OpenSSH) sftp; all take files as well
(`uploads=True`).  `Receiver` takes multipart/form-data.  `Link` is a TCP
proxy that delays, cuts and falls silent.  Needs root; nothing is started on a fixed port, and every process dies with
the one that made it.  Needs tools/ on Python's path for `simdevice`.
"""
from .ftp import Ftp
from .link import Link
from .nginx import Nginx, Tls
from .receiver import Receiver
from .sftp import Sftp
from .vsftpd import Vsftpd

__all__ = ["Ftp", "Link", "Nginx", "Receiver", "Sftp", "Tls", "Vsftpd"]
