# SPDX-License-Identifier: LGPL-2.1-or-later
"""The spool: a disk that is full or fills up, files of others in it, and that nothing is left behind."""
import os
import pathlib

import pytest

from charger import BUILD
from fetching import (MIB, NO_DOWNLOAD, ask, charger_that, events, expect_download_failed, expect_installed, in_spool,
                      reasons, wait_fetched)
from liar import Liar, head
from servers import Link, Nginx
from simdevice import fixtures, wait_until
from simdevice.process import Process

SIZE = 3 * MIB
DISK = 8 * MIB


def publish(server, version="2.0.0", size=SIZE):
    return server.publish(fixtures.bundle(BUILD, version, size=size).path, f"{version}.raucb")


class Disk:
    """A small file system in a mount namespace of its own: whatever ends this process, nothing stays mounted."""

    def __init__(self, folder, size=DISK):
        folder.mkdir()
        script = 'mount -t tmpfs -o size="$1",mode=755 tmpfs "$2" && mkdir -m 700 "$2/spool" && exec sleep infinity'
        self.process = Process(["unshare", "--mount", "sh", "-c", script, "disk", str(size), str(folder)],
                               log=folder.with_suffix(".log"), env=dict(os.environ), pid_file=folder.with_suffix(".pid"))
        self.root = pathlib.Path(f"/proc/{self.process.pid}/root{folder}")
        self.spool = self.root / "spool"
        wait_until(self.spool.exists, "the disk")

    def fill(self, leave):
        """Until so many bytes are free."""
        state = os.statvfs(self.root)
        (self.root / "filler").write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - leave)))

    def clear(self):
        (self.root / "filler").unlink()


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.process.kill()


@pytest.fixture
def charger(make_charger, disk):
    charger = make_charger(settings={"update": {"spool-directory": disk.spool}, "download": {"hold": "2"}})
    charger.spool = disk.spool
    return charger.start()


def test_full_at_the_start(charger, disk, tmp_path):
    with Nginx(tmp_path / "web") as server:
        disk.fill(5 * MIB)
        ask(charger, publish(server))
        expect_download_failed(charger, "not enough space")
        assert "needs 8 MB, has 5 MB" in reasons(charger)[-1]
        disk.clear()
        ask(charger, server.url("2.0.0.raucb"))
        expect_installed(charger, count=2, size=SIZE)


def test_space_that_comes_back_between_two_attempts(charger, disk, tmp_path):
    with Nginx(tmp_path / "web") as server:
        disk.fill(5 * MIB)
        ask(charger, publish(server), "retries=9 interval=1")
        charger.wait_step("downloading -> retry-wait")
        disk.clear()
        expect_installed(charger, size=SIZE)


def test_full_in_the_middle(charger, disk, tmp_path):
    with Nginx(tmp_path / "web") as server, Link(server, rate=SIZE) as link:
        ask(charger, link.url(publish(server)))
        wait_fetched(charger, SIZE // 3)
        disk.fill(2 * MIB)
        expect_download_failed(charger, "not enough space")
        disk.clear()
        link.rate = 0
        ask(charger, link.url("2.0.0.raucb"))
        expect_installed(charger, count=2, size=SIZE)


@pytest.mark.parametrize("length", [None, 900 << 30])
def test_more_than_any_disk_has(charger, length):
    def answer(request, send):
        send(head("200 OK", **({"Content_Length": length} if length else {})))
        while True:
            send(bytes(65536))
    with Liar(answer) as liar:
        ask(charger, liar.url())
        expect_download_failed(charger, "not enough space")
    charger.update("3.0.0")
    expect_installed(charger, "3.0.0", 2)


def test_no_room_for_the_spool_itself(charger, disk):
    os.rmdir(disk.spool)
    disk.spool.write_text("a file where the folder should be")
    charger.update("2.0.0")
    assert charger.wait_end() == "DownloadFailed"
    assert "cannot use the spool" in reasons(charger)[-1]
    disk.spool.unlink()
    charger.update("3.0.0")
    expect_installed(charger, "3.0.0", 2)
    assert disk.spool.stat().st_mode & 0o777 == 0o700


def test_what_is_ours_is_removed_and_what_is_not_stays(make_charger):
    charger = charger_that(make_charger)
    charger.stop_agent()
    charger.spool.mkdir(mode=0o700, exist_ok=True)
    ours, others = ["job-77.part", "job-77.info", "job-77.raucb"], ["job-77.txt", "holiday.raucb"]
    for name in [*ours, *others]:
        (charger.spool / name).write_text(name)
    charger.start_agent()
    charger.wait_registered(2)
    wait_until(lambda: in_spool(charger) == sorted(others), "the spool to be clean")
    charger.update("2.0.0")
    assert charger.play() == "Installed"
    charger.wait_state("installed")
    assert in_spool(charger) == sorted(others)


def test_a_partial_file_is_kept_until_the_end_of_the_job(make_charger, tmp_path):
    charger = charger_that(make_charger, hold=1)
    with Nginx(tmp_path / "web") as server, Link(server, rate=SIZE) as link:
        ask(charger, link.url(publish(server)), "retries=1 interval=3600")
        wait_fetched(charger, SIZE // 3)
        link.refuse()
        link.cut()
        charger.wait_step("downloading -> retry-wait")
        assert in_spool(charger) == ["job-1.info", "job-1.part"]
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in charger.spool.iterdir())
        charger.restart_agent()
        charger.wait_registered(2)
        assert in_spool(charger) == ["job-1.info", "job-1.part"]
        charger.ctl("cancel")
        assert charger.wait_end() == "DownloadFailed" and charger.statuses() == NO_DOWNLOAD
        assert in_spool(charger) == [] and events(charger)[-1] == "cancel"
