# SPDX-License-Identifier: LGPL-2.1-or-later
"""nginx for http and https, with its access log as data."""
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from simdevice.process import DEADLINE, wait_until

from .base import Server

# nginx asks OpenSSL for the versions; Debian's own level of security forbids TLS 1.0 and 1.1 on top of that.
_OLD_TLS = "ssl_protocols TLSv1 TLSv1.1;\nssl_conf_command CipherString DEFAULT@SECLEVEL=0;"
_NEW_TLS = "ssl_protocols TLSv1.2 TLSv1.3;"
_LOG_FIELDS = {
    "time": "$msec", "connection": "$connection", "method": '"$request_method"', "path": '"$uri"',
    "range": '"$http_range"', "if_range": '"$http_if_range"', "status": "$status", "bytes": "$body_bytes_sent",
    "whole": '"$request_completion"', "user": '"$remote_user"', "tls": '"$ssl_protocol"',
    "agent": '"$http_user_agent"', "received": "$request_length"}
_LOG_FORMAT = "log_format data escape=json '{" + ",".join(f'"{k}":{v}' for k, v in _LOG_FIELDS.items()) + "}';"


@dataclass
class Tls:
    """How an https or ftps server presents itself; the names are those of certs/make-test-pki.sh."""
    pki: Path
    certificate: str = "csms"       # csms-unknown, csms-wronghost, csms-expired
    old: bool = False               # TLS 1.0 and 1.1 only (nginx)
    client_ca: str = ""             # a client certificate of this CA is required, e.g. charge-point-ca (nginx)

    @property
    def certificate_file(self) -> Path:
        return self.pki / f"{self.certificate}.crt"

    @property
    def key_file(self) -> Path:
        return self.pki / f"{self.certificate}.key"


@dataclass
class Access:
    """A request that has ended, as nginx saw it."""
    time: float         # seconds since 1970, when it ended
    connection: int     # its number; requests on one connection share it
    method: str
    path: str
    range: str          # the header, empty without
    if_range: str
    status: int
    bytes: int          # of the body, handed to the kernel; Link.bytes_down counts what arrived (up to some MB less)
    whole: bool         # all of the answer went out
    user: str
    tls: str            # e.g. TLSv1.3
    agent: str
    received: int       # bytes of the request, head and body


class Nginx(Server):
    """Attributes may be changed between stop() and start(), and with restart()."""
    _READY = "getrlimit(RLIMIT_NOFILE)"     # said after the sockets listen

    def __init__(self, folder: Path, *, tls: Optional[Tls] = None, ranges: bool = True, gzip: bool = False,
                 uploads: bool = False, http2: bool = False, directives: tuple[str, ...] = (),
                 address: str = "127.0.0.1", user: Optional[tuple[str, str]] = None):
        """`uploads` takes PUT (WebDAV) below /incoming/; `directives` are added to the server's block."""
        super().__init__(folder, address=address, user=user)
        self.tls, self.ranges, self.gzip, self.uploads = tls, ranges, gzip, uploads
        self.http2, self.directives = http2, directives
        self._access = folder / "access.log"

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    def requests(self, name: Optional[str] = None) -> list[Access]:
        """Those that have ended, oldest first; all, or those for one path."""
        text = self._access.read_text() if self._access.exists() else ""
        lines = text[:text.rfind("\n") + 1].splitlines()
        entries = [Access(**{**fields, "whole": fields["whole"] == "OK"}) for fields in map(json.loads, lines)]
        return [entry for entry in entries if name is None or entry.path == "/" + name.lstrip("/")]

    def wait_requests(self, count: int, name: Optional[str] = None, timeout: float = DEADLINE) -> list[Access]:
        wait_until(lambda: len(self.requests(name)) >= count, f"{count} requests for {name or 'any path'}", timeout)
        return self.requests(name)

    def body_bytes(self, name: Optional[str] = None) -> int:
        """Bytes of all bodies so far."""
        return sum(entry.bytes for entry in self.requests(name))

    def _argv(self) -> list[str]:
        config = self.folder / "nginx.conf"
        config.write_text("\n".join([
            # One process: nothing is left when it is killed, and it reads what only root may.
            "daemon off;", "master_process off;", "pid nginx.pid;", "error_log stderr notice;",
            "events { worker_connections 256; }", "http {", *self._http(), "server {", *self._server(), "}", "}", ""]))
        return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(self.folder), "-c", str(config), "-e", "stderr"]

    def _http(self) -> list[str]:
        temporary = [f"{kind}_temp_path tmp-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
        return [_LOG_FORMAT, "access_log access.log data;", "default_type application/octet-stream;", "sendfile on;",
                "server_tokens off;", "keepalive_requests 100000;", *temporary]

    def _server(self) -> list[str]:
        options = (" ssl" if self.tls else "") + (" http2" if self.http2 else "")
        lines = [f"listen {self.address}:{self.port}{options};", f"root {self.files};", "client_max_body_size 0;"]
        lines += self._tls() if self.tls else []
        lines += [] if self.ranges else ["max_ranges 0;"]
        lines += ["gzip on;", "gzip_types *;", "gzip_min_length 0;", "gzip_http_version 1.0;"] if self.gzip else []
        lines += self._login() if self.user else []
        if self.uploads:
            self.make_incoming()
            lines += ["location /incoming/ { dav_methods PUT DELETE; create_full_put_path on; dav_access user:rw; }"]
        return [*lines, *self.directives]

    def _tls(self) -> list[str]:
        assert self.tls
        lines = [f"ssl_certificate {self.tls.certificate_file};", f"ssl_certificate_key {self.tls.key_file};",
                 _OLD_TLS if self.tls.old else _NEW_TLS]
        if self.tls.client_ca:
            lines += [f"ssl_client_certificate {self.tls.pki / self.tls.client_ca}.crt;", "ssl_verify_client on;"]
        return lines

    def _login(self) -> list[str]:
        assert self.user
        name, password = self.user
        done = subprocess.run(["openssl", "passwd", "-apr1", "-stdin"], input=password, capture_output=True, text=True,
                              check=True)
        (self.folder / "htpasswd").write_text(f"{name}:{done.stdout}")
        return ['auth_basic "bundles";', f"auth_basic_user_file {self.folder / 'htpasswd'};"]
