#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks that every file includes only what its floor may know (run by `make lint`).

    floor 0  ocpp/ db/          pure protocol, store: each alone
    floor 1  src/adapter/       one outside thing each; may know floor 0
    floor 2  src/behaviour/X/   behaviours; may know floors 0 and 1 and themselves, never each other
    floor 3  src/agent/         everything

A header in include/X/ stands on the floor of its folder.  A library is known to one place only.
"""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.MULTILINE)

OWN = ("ocpp/", "db/", "adapter/", "behaviour/", "agent/", "src/")
LIBRARIES = {  # library header -> places that may know it
    "jansson.h": (r"(include/)?ocpp/", r"src/behaviour/session/", r"src/agent/show\.c"),
    "sqlite3.h": (r"db/",),
    "libwebsockets.h": (r"src/adapter/ws_",),
    "curl/": (r"src/adapter/transfer",),
    "openssl/": (r"src/adapter/(tls|bundle|download/digest|ws_|transfer_tls)",),
    "gio/": (r"(include|src)/(adapter|agent)/", r"src/behaviour/reboot/"),
}


def allowed(path):
    """Prefixes of the project's own headers that the file may include."""
    parts = path.parts
    if parts[0] == "include":
        parts = ("src", *parts[1:]) if parts[1] in ("adapter", "behaviour", "agent") else parts[1:]
    if parts[0] in ("ocpp", "db"):
        return (f"{parts[0]}/",)
    floor = parts[1]
    if floor == "adapter":
        return ("ocpp/", "db/", "adapter/", "src/adapter/")
    if floor == "behaviour":
        name = parts[2].removesuffix(".h")
        return ("ocpp/", "db/", "adapter/", f"behaviour/{name}.h", f"src/behaviour/{name}/")
    return OWN


def check(path):
    problems = []
    prefixes = allowed(path)
    for header in INCLUDE.findall((TOP / path).read_text()):
        if header.startswith(OWN) and not header.startswith(prefixes):
            problems.append(f"{path}: may not include {header}")
        for library, places in LIBRARIES.items():
            if header.startswith(library) and not any(re.match(place, str(path)) for place in places):
                problems.append(f"{path}: {library} belongs to {', '.join(places)}")
    return problems


def main():
    files = [path.relative_to(TOP) for folder in ("include", "ocpp", "db", "src")
             for path in sorted((TOP / folder).rglob("*.[ch]"))]
    problems = [problem for path in files for problem in check(path)]
    print("\n".join(problems) if problems else f"floors: {len(files)} files in order")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
