# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares the field tables of ocpp/message_tables.c with the published JSON schemas.

The schemas are not ours to ship: they lie beside the repository (../shared/ocpp-schemas), and
without them there is nothing to compare with.  DUMP_MESSAGES names another build of
tests/unit/dump_messages.c than build/asan's.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT.parent / "shared" / "ocpp-schemas"
DUMP = Path(os.environ.get("DUMP_MESSAGES", ROOT / "build" / "asan" / "tests" / "dump_messages"))

ACTIONS = [
    "BootNotification",
    "ChangeAvailability",
    "ChangeConfiguration",
    "DataTransfer",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "GetConfiguration",
    "GetDiagnostics",
    "Heartbeat",
    "Reset",
    "StatusNotification",
    "TriggerMessage",
    "UpdateFirmware",
]
MESSAGES = [(action, kind) for action in ACTIONS for kind in ("request", "confirmation")]

INT32 = (-(2**31), 2**31 - 1)

# (action, kind, field) -> what the schema says, what the table says, and why.
DIFFERENCES = {
    ("UpdateFirmware", "request", "retrieveDate"): (
        {"required": True},
        {"required": False},
        "some CSMSs leave it out and mean now",
    ),
    ("UpdateFirmware", "request", "location"): (
        {"max": None},
        {"max": 2000},
        "1.6 gives no length; everything from outside is bounded",
    ),
    ("GetDiagnostics", "request", "location"): (
        {"max": None},
        {"max": 2000},
        "1.6 gives no length; everything from outside is bounded",
    ),
    ("UpdateFirmware", "request", "retries"): (
        {"lowest": INT32[0]},
        {"lowest": 0},
        "a count: less than none cannot be meant",
    ),
    ("UpdateFirmware", "request", "retryInterval"): (
        {"lowest": INT32[0]},
        {"lowest": 0},
        "a duration: less than none cannot be meant",
    ),
    ("GetDiagnostics", "request", "retries"): (
        {"lowest": INT32[0]},
        {"lowest": 0},
        "a count: less than none cannot be meant",
    ),
    ("GetDiagnostics", "request", "retryInterval"): (
        {"lowest": INT32[0]},
        {"lowest": 0},
        "a duration: less than none cannot be meant",
    ),
    ("TriggerMessage", "request", "requestedMessage"): (
        {"enum": ["BootNotification", "DiagnosticsStatusNotification", "FirmwareStatusNotification", "Heartbeat",
                  "MeterValues", "StatusNotification"], "max": None},
        {"enum": None, "max": 50},
        "an unknown one is answered with NotImplemented (C 5.17), not with a CALLERROR",
    ),
}

# Words of a schema that are understood below.  "additionalProperties" forbids what real CSMSs
# send and we accept, and means nothing where it stands beside an enum.  The format uri is not
# checked: a bad location is not a bad message, but a job that fails.
KNOWN_WORDS = {
    "$schema",
    "title",
    "type",
    "properties",
    "additionalProperties",
    "required",
    "enum",
    "maxLength",
    "format",
    "items",
}


def field_of_schema(name, schema, required):
    """The schema of one property in the form that dump_messages prints."""
    assert set(schema) <= KNOWN_WORDS, f"{name}: {set(schema) - KNOWN_WORDS}"
    assert schema.get("format") in (None, "date-time", "uri")
    field = {"name": name, "required": required}
    kind = schema["type"]
    if kind == "array" and schema["items"]["type"] == "string":
        assert set(schema["items"]) <= {"type", "maxLength"}
        field |= {"type": "strings", "max": schema["items"].get("maxLength")}
    elif kind == "array":
        assert schema["items"]["type"] == "object"
        field |= {"type": "objects", "fields": fields_of_schema(schema["items"])}
    elif kind == "string" and schema.get("format") == "date-time":
        field |= {"type": "date-time"}
    elif kind == "string":
        values = sorted(schema["enum"]) if "enum" in schema else None
        field |= {"type": "string", "max": schema.get("maxLength"), "enum": values}
    elif kind == "integer":
        field |= {"type": "integer", "lowest": INT32[0], "highest": INT32[1]}
    else:
        field |= {"type": kind}
    return field


def fields_of_schema(schema):
    assert set(schema) <= KNOWN_WORDS
    required = schema.get("required", [])
    assert set(required) <= set(schema["properties"])
    properties = schema["properties"].items()
    return {name: field_of_schema(name, one, name in required) for name, one in properties}


def fields_of_table(fields):
    result = {}
    for field in fields:
        assert field["name"] not in result, f"{field['name']} stands twice in the table"
        result[field["name"]] = field
        if field["type"] in ("string", "strings"):
            field.setdefault("max", None)
        if field["type"] == "string":
            field["enum"] = sorted(field["enum"]) if "enum" in field else None
        if field["type"] == "objects":
            field["fields"] = fields_of_table(field["fields"])
    return result


@pytest.fixture(scope="module")
def tables():
    if not SCHEMAS.is_dir():
        pytest.skip(f"the published schemas are not here: {SCHEMAS}")
    run = subprocess.run([DUMP], check=True, capture_output=True, timeout=120)
    return {(table["action"], table["kind"]): table["fields"] for table in json.loads(run.stdout)}


@pytest.mark.parametrize(("action", "kind"), MESSAGES)
def test_table_is_the_schema(tables, action, kind):
    suffix = "Response" if kind == "confirmation" else ""
    schema = json.loads((SCHEMAS / f"{action}{suffix}.json").read_text(encoding="utf-8"))
    expected = fields_of_schema(schema)
    for (d_action, d_kind, name), (published, ours, _reason) in DIFFERENCES.items():
        if (d_action, d_kind) == (action, kind):
            schema_says = {word: expected[name][word] for word in published}
            assert schema_says == published, f"{name} is no longer a difference"
            expected[name] |= ours
    assert fields_of_table(tables[(action, kind)]) == expected


def test_no_other_tables(tables):
    assert sorted(tables) == sorted(MESSAGES)
