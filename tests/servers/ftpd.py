#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The process behind servers.Ftp: pyftpdlib, set up by a file of JSON (see ftp.py)."""
import itertools
import json
import logging
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_DTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer

_READ_ONLY = "elr"
_UPLOADS = "elraw"
_sessions = itertools.count(1)


def logged(base, commands):
    """A handler that writes each command down."""
    class Handler(base):
        def handle(self):
            self.session = next(_sessions)
            super().handle()

        def write_down(self, **fields):
            print(json.dumps({"session": getattr(self, "session", 0), **fields}), file=commands, flush=True)

        def pre_process_command(self, line, cmd, arg):
            self.write_down(verb=cmd, argument="" if cmd == "PASS" else arg)
            super().pre_process_command(line, cmd, arg)
    return Handler


def counted(base, quota):
    """A data channel that writes down how much went through it when it ends."""
    class Data(base):
        counted = False

        def handle_read(self):
            super().handle_read()
            if quota and self.receive and not self._closed and self.file_obj.tell() > quota:
                self._resp = ("552 Quota exceeded.", logging.info)
                self.close()

        handle_read_event = handle_read

        def readable(self):
            # pyftpdlib 1.5.7 takes a client that speaks before RETR for one that has gone; libcurl since 7.87 shakes
            # hands that early (pyftpdlib issue 604, mended in 1.5.8).
            return getattr(self, "_ssl_accepting", False) or super().readable()

        def close(self):
            if not self.counted:
                self.counted = True
                size = self.tot_bytes_received if self.receive else self.tot_bytes_sent
                self.cmd_channel.write_down(verb="received" if self.receive else "sent", bytes=size)
            super().close()
    return Data


def implicit(base):
    """TLS from the first byte on."""
    class Handler(base):
        def handle(self):
            self.secure_connection(self.ssl_context)

        def handle_ssl_established(self):
            super().handle()
    return Handler


def make_handler(config, commands):
    secure = bool(config["security"])
    handler = logged(TLS_FTPHandler if secure else FTPHandler, commands)
    handler.dtp_handler = counted(TLS_DTPHandler if secure else DTPHandler, config["quota"])
    if config["security"] == "implicit":
        handler = implicit(handler)
    if secure:
        handler.certfile, handler.keyfile = config["certificate"], config["key"]
        handler.tls_control_required = handler.tls_data_required = True
    if not config["rest"]:
        handler.proto_cmds = {name: how for name, how in handler.proto_cmds.items() if name != "REST"}
    handler.auth_failed_timeout = 0
    handler.passive_ports = config["passive_ports"]
    handler.authorizer = DummyAuthorizer()
    rights = _UPLOADS if config["uploads"] else _READ_ONLY
    if config["user"]:
        handler.authorizer.add_user(*config["user"], config["files"], perm=rights)
    else:
        handler.authorizer.add_anonymous(config["files"], perm=rights)
    return handler


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        config = json.load(file)
    logging.basicConfig(level=logging.WARNING)
    with open(config["commands"], "a", encoding="utf-8") as commands:
        server = FTPServer((config["address"], config["port"]), make_handler(config, commands))
        print("ftpd: listening", file=sys.stderr, flush=True)
        server.serve_forever(handle_exit=True)


if __name__ == "__main__":
    main()
