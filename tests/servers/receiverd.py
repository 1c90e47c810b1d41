#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The process behind servers.Receiver, set up by a file of JSON (see receiver.py)."""
import base64
import email.parser
import email.policy
import http.server
import json
import pathlib
import ssl
import sys


def make_handler(config):
    wanted = config["user"] and "Basic " + base64.b64encode(":".join(config["user"]).encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if wanted and self.headers["Authorization"] != wanted:
                return self.answer(401)
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
            parts = list(message.iter_parts()) if message.is_multipart() else []
            if len(parts) != 1 or not parts[0].get_filename():
                return self.answer(400)
            return self.take(parts[0])

        def take(self, part):
            name = pathlib.PurePath(part.get_filename()).name
            content = part.get_payload(decode=True)
            (pathlib.Path(config["incoming"]) / name).write_bytes(content)
            form = {"path": self.path, "field": part.get_param("name", header="content-disposition"), "name": name,
                    "type": part.get_content_type(), "bytes": len(content), "expect": self.headers["Expect"] or ""}
            with open(config["forms"], "a", encoding="utf-8") as forms:
                forms.write(json.dumps(form) + "\n")
            self.answer(201)

        def answer(self, status):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
    return Handler


def main():
    config = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    server = http.server.ThreadingHTTPServer((config["address"], config["port"]), make_handler(config))
    if config["certificate"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(config["certificate"], config["key"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print("receiverd: listening", file=sys.stderr, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
