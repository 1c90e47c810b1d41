# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a power cut leaves: the files as they were last synced, from the copies that boundaries.c keeps."""
import shutil


def _names(shadow, prefix, index):
    """Name -> identity of the files in a folder, as far as the power cut spares them."""
    path = shadow / f"{prefix}.{index}"
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: identity for identity, name in (line.split(" ", 1) for line in lines)}


def restore(shadow, folders, names):
    """Brings `folders` back to what is durable.

    `names` is `names`: only names that were synced with their folder are there; or `now`: all names survive, and only
    data that was not synced is lost, as file systems with a journal may do it.
    """
    for index, folder in enumerate(folders):
        kept = {name: shadow / f"content.{identity}" for name, identity in _names(shadow, names, index).items()}
        content = {name: path.read_bytes() if path.exists() else b"" for name, path in kept.items()}
        exists = (shadow / f"exists.{index}").exists() or names == "now" and folder.exists()
        shutil.rmtree(folder, ignore_errors=True)
        if not exists:
            continue
        folder.mkdir(mode=0o700)
        for name, data in content.items():
            (folder / name).touch(mode=0o600)
            (folder / name).write_bytes(data)
    shutil.rmtree(shadow)
    shadow.mkdir()
