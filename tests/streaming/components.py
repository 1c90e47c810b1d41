# SPDX-License-Identifier: LGPL-2.1-or-later
"""Test modules of the component tests, for use here; some have the name of one of this folder's."""
import importlib.util
import pathlib

COMPONENT = pathlib.Path(__file__).resolve().parents[1] / "component"


def component(name):
    spec = importlib.util.spec_from_file_location(f"component_{name}", COMPONENT / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
