# SPDX-License-Identifier: LGPL-2.1-or-later
"""The published JSON schemas of OCPP 1.6, held against the frames of a mock CSMS's log.  They are not the project's to ship: without
the folder nothing is checked."""
import json
import pathlib

import jsonschema

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "shared" / "ocpp-schemas"


def _schema(name):
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def check_frames(events):
    """One sentence for each frame of the charge point that breaks its schema."""
    if not FOLDER.is_dir():
        return []
    actions = {}    # id of a CALL of the CSMS -> action
    problems = []
    for event in events:
        frame = event.get("frame")
        if not isinstance(frame, list) or not frame:
            continue
        if event["event"] == "sent" and frame[0] == 2 and len(frame) > 2:
            actions[json.dumps(frame[1])] = frame[2]
        if event["event"] != "received":
            continue
        if frame[0] == 2:
            name, payload = frame[2], frame[3]
        elif frame[0] == 3 and json.dumps(frame[1]) in actions:
            name, payload = actions[json.dumps(frame[1])] + "Response", frame[2]
        else:
            continue
        schema = _schema(name)
        if schema is None:
            problems.append(f"no schema for {name}: {frame}")
            continue
        for error in jsonschema.Draft4Validator(schema).iter_errors(payload):
            problems.append(f"{frame}: {error.message}")
    return problems
