# SPDX-License-Identifier: LGPL-2.1-or-later
"""The harness itself, tools/simdevice with its keys and bundles, against the real RAUC: what the other component
tests rely on.  RAUC does here what it would do for the agent; no agent is running."""
import base64
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from simdevice import (
    ATTEMPTS, BootEnv, BootFailed, Device, FaultServer, RaucError, fixtures, make_image, read_version, wait_until)

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build"


@pytest.fixture
def bundle():
    return fixtures.bundle(BUILD, "2.0.0")


@pytest.fixture
def server():
    with FaultServer() as server:
        yield server


@pytest.fixture
def device(tmp_path, pki):
    with Device(tmp_path / "device", pki) as device:
        yield device


class Background:
    """An install by `rauc install` that the test does not wait for."""

    def __init__(self, device, url):
        self._thread = threading.Thread(target=self._run, args=(device, url), daemon=True)
        self.result = None
        self._thread.start()

    def _run(self, device, url):
        self.result = device.rauc("install", url)

    def join(self):
        self._thread.join(120)
        assert self.result is not None, "rauc install does not end"
        return self.result


def verbs(device):
    return [(call.verb, *call.args) for call in device.backend_log() if not call.verb.startswith("get-")]


# ------------------------------------------------------------------------------------------------------ a good update

def test_install_and_reboot(device, server, bundle):
    before = device.slot_image("A")
    first_boot = device.boot_id_file.read_text()
    assert (device.booted, device.primary(), device.firmware_version_file.read_text()) == ("A", "A", "1.0.0\n")
    assert device.attempts_left("A") == ATTEMPTS - 1

    assert device.install(server.publish(bundle.path)) == ""

    image = bundle.image.read_bytes()
    assert device.slot_image("B")[:len(image)] == image
    assert device.slot_image("A") == before
    assert (device.primary(), device.boot_order(), device.attempts_left("B")) == ("B", ["B", "A"], ATTEMPTS)
    assert verbs(device) == [("set-state", "B", "bad"), ("set-primary", "B"), ("post-install",)]
    status = device.slot_status()
    assert status["A"]["state"] == "booted" and status["B"]["state"] == "inactive"
    assert status["B"]["slot_status"]["bundle"]["version"] == "2.0.0"
    assert device.firmware_version_file.read_text() == "1.0.0\n"

    assert device.reboot() == "B"
    assert device.firmware_version_file.read_text() == "2.0.0\n"
    assert device.boot_id_file.read_text() != first_boot
    status = device.slot_status()
    assert status["B"]["state"] == "booted" and status["B"]["slot_status"]["installed"]["count"] == 1


def test_verity_bundle_is_made(pki):
    made = fixtures.bundle(BUILD, "2.0.0", format="verity")
    info = subprocess.run(["rauc", f"--keyring={pki}/rauc-ca.crt", "info", made.path], capture_output=True, text=True)
    assert info.returncode == 0 and "verity" in info.stdout


# -------------------------------------------------------------------------------------------------------- bad updates

@pytest.mark.parametrize("options, error", [
    (dict(signer="foreign"), "signature verification failed: Verify error: unable to get local issuer certificate"),
    (dict(signer="expired"), "signature verification failed: Verify error: certificate has expired"),
    (dict(damaged=True), "signature verification failed: error:0200008A:rsa routines::invalid padding"),
    (dict(compatible="other-charger"),
     "Compatible mismatch: Expected 'rauc-ocpp-demo' but bundle manifest has 'other-charger'"),
], ids=["foreign", "expired", "damaged", "compatible"])
def test_bad_bundle_is_refused(device, server, options, error):
    before = device.slot_image("B")
    bad = fixtures.bundle(BUILD, "2.0.0", **options)
    assert error in device.install(server.publish(bad.path))
    assert device.slot_image("B") == before
    assert (device.primary(), verbs(device)) == ("A", [])


def test_garbage_is_refused(device, server, tmp_path):
    (tmp_path / "garbage").write_bytes(b"no bundle" * 1000)
    assert "Invalid bundle format" in device.install(server.publish(tmp_path / "garbage"))


def test_set_primary_fails(device, server, bundle):
    url = server.publish(bundle.path)
    device.fail_verb("set-primary")
    assert "Failed marking slot rootfs.1 bootable" in device.install(url)
    assert (device.primary(), device.boot_order(), device.attempts_left("B")) == ("A", ["A"], 0)
    assert device.slot_version("B") == "2.0.0"
    device.fail_verb("set-primary", False)
    assert device.install(url) == ""
    assert device.primary() == "B"


def test_failure_after_activation(device, server, bundle):
    device.fail_verb("post-install")
    assert device.install(server.publish(bundle.path)) != ""
    assert device.primary() == "B"


@pytest.mark.parametrize("mode, error", [
    ("404", "Failed to download bundle"), ("401", "HTTP returned >=400"), ("403", "HTTP returned >=400"),
    ("500", "HTTP returned >=400"), ("cut", "bytes remaining to read"),
])
def test_retrieval_fails(device, server, bundle, mode, error):
    url = server.publish(bundle.path, "v2.raucb")
    server.fault("v2.raucb", mode, times=1)
    assert error in device.install(url)
    assert device.primary() == "A"
    assert device.install(url) == ""                # once only
    assert len(server.requests("v2.raucb")) == 2


def test_refused_connection(device, server):
    assert "Failed to connect" in device.install(server.refused_url())


def test_rauc_follows_redirects(device, server, bundle):
    server.fault("old.raucb", "redirect", location=server.publish(bundle.path, "new.raucb"))
    assert device.install(server.url("old.raucb")) == ""


# --------------------------------------------------------------------------------------------------- the boot loader

def test_panicking_slot_falls_back(device, server, bundle):
    assert device.install(server.publish(bundle.path)) == ""
    assert device.reboot(panics={"B"}) == "A"
    assert device.tried == ["B"] * ATTEMPTS + ["A"]
    assert (device.primary(), device.attempts_left("B")) == ("A", 0)
    assert device.firmware_version_file.read_text() == "1.0.0\n"
    status = device.slot_status()
    assert status["A"]["state"] == "booted" and status["B"]["boot_status"] == "bad"


def test_unconfirmed_boots_use_up_attempts(device, server, bundle):
    assert device.install(server.publish(bundle.path)) == ""
    assert [device.reboot() for _ in range(ATTEMPTS + 1)] == ["B"] * ATTEMPTS + ["A"]


def test_marked_good_stays(device, server, bundle):
    assert device.install(server.publish(bundle.path)) == ""
    device.reboot()
    assert device.rauc("status", "mark-good").returncode == 0
    assert device.attempts_left("B") == ATTEMPTS
    assert [device.reboot() for _ in range(ATTEMPTS)] == ["B"] * ATTEMPTS


def test_half_written_slot_does_not_boot(device):
    with device.slot_path("B").open("r+b") as slot:
        slot.seek(100000)
        slot.write(b"damage")
    device.set_boot_state(order=["B", "A"])
    assert device.slot_version("B") is None
    assert (device.power_cut(), device.tried) == ("A", ["B", "B", "B", "A"])


def test_used_up_attempts_are_refilled(device):
    device.set_boot_state(left={"A": 0, "B": 0})
    assert (device.primary(), device.reboot(), device.attempts_left("B")) == ("A", "A", ATTEMPTS)


def test_no_slot_boots(device):
    with pytest.raises(BootFailed):
        device.power_cut(panics={"A", "B"})
    assert device.booted is None and not device.rauc_running()


def test_marks(device):
    assert device.rauc("status", "mark-bad", "other").returncode == 0
    assert (device.boot_order(), device.attempts_left("B")) == (["A"], 0)
    assert device.slot_status()["B"]["boot_status"] == "bad"
    assert device.rauc("status", "mark-bad", "booted").returncode == 0
    assert (device.primary(), device.attempts_left("A")) == ("A", 0)        # the last one stays
    assert device.rauc("status", "mark-good", "other").returncode == 0
    assert (device.boot_order(), device.primary()) == (["A", "B"], "B")
    assert device.rauc("status", "mark-active", "booted").returncode == 0
    assert (device.boot_order(), device.attempts_left("A")) == (["A", "B"], ATTEMPTS)


def test_failing_mark(device):
    device.fail_verb("set-state")
    assert device.rauc("status", "mark-good").returncode != 0


def test_loader_and_backend_agree(tmp_path):
    """The same environment, read and written by both."""
    link = tmp_path / "bootloader"
    link.symlink_to(TOP / "tools" / "simdevice" / "bootloader.sh")
    BootEnv(order=["B"], left={"A": 0, "B": 1}).save(tmp_path / "env")

    def backend(*args):
        done = subprocess.run([link, *args], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None
    assert [backend("get-primary"), backend("get-state", "A"), backend("get-state", "B")] == ["B", "bad", "good"]
    assert backend("set-state", "A", "good") == ""
    assert BootEnv.load(tmp_path / "env") == BootEnv(["B", "A"], {"A": ATTEMPTS, "B": 1})
    assert backend("set-state", "B", "bad") == ""
    assert BootEnv.load(tmp_path / "env") == BootEnv(["A"], {"A": ATTEMPTS, "B": 0})
    for wrong in (("set-primary", "C"), ("get-state", "C"), ("set-state", "A", "odd"), ("nonsense",), ()):
        assert backend(*wrong) is None
    assert BootEnv.load(tmp_path / "env") == BootEnv(["A"], {"A": ATTEMPTS, "B": 0})


# ------------------------------------------------------------------------------------------- death in the middle

@pytest.mark.parametrize("mode", ["hold", "stall"])
def test_killed_in_mid_download(device, server, bundle, mode):
    url = server.publish(bundle.path, "v2.raucb")
    fault = server.fault("v2.raucb", mode, times=1)
    install = Background(device, url)
    fault.wait_reached()
    with pytest.raises(RaucError):
        device.slot_status()                        # busy
    device.kill_rauc()
    assert not device.rauc_running()
    device.start_rauc()
    install.join()
    assert (device.primary(), device.slot_version("B"), verbs(device)) == ("A", "0.9.0", [])
    assert device.install(url) == ""


def test_held_download_goes_on(device, server, bundle):
    url = server.publish(bundle.path, "v2.raucb")
    fault = server.fault("v2.raucb", "hold", after=4096)
    install = Background(device, url)
    fault.wait_reached()
    server.release("v2.raucb")
    assert install.join().returncode == 0
    assert device.primary() == "B"


def test_power_cut_before_activation(device, server, bundle):
    """A held call of the backend never takes effect once RAUC is dead."""
    device.hold_verb("set-primary")
    install = Background(device, server.publish(bundle.path))
    device.wait_backend_call("set-primary", "B")
    assert device.slot_version("B") == "2.0.0"
    assert device.power_cut() == "A"
    device.hold_verb("set-primary", False)
    wait_until(lambda: not any(b"set-primary" in argv for argv in processes_of(device.root)), "the end of the backend")
    assert (device.primary(), device.boot_order(), device.attempts_left("B")) == ("A", ["A"], 0)
    install.join()


def test_only_calls_with_these_arguments_are_held(device, server, bundle):
    device.hold_verb("set-state", args=("B", "bad"))
    assert device.rauc("status", "mark-good").returncode == 0
    install = Background(device, server.publish(bundle.path))
    device.wait_backend_call("set-state", "B", "bad")
    assert device.attempts_left("B") == ATTEMPTS
    device.hold_verb("set-state", False, ("B", "bad"))
    assert install.join().returncode == 0


def test_held_handler_goes_on(device, server, bundle):
    device.hold_verb("post-install")
    install = Background(device, server.publish(bundle.path))
    device.wait_backend_call("post-install")
    assert device.primary() == "B"
    device.hold_verb("post-install", False)
    assert install.join().returncode == 0


def test_restart_command(device, server, bundle):
    """The agent's way out of a stalled download."""
    url = server.publish(bundle.path, "v2.raucb")
    fault = server.fault("v2.raucb", "stall", times=1)
    install = Background(device, url)
    fault.wait_reached()
    old = int((device.root / "rauc.pid").read_text())
    assert subprocess.run([device.restart_command], env={}, timeout=120).returncode == 0
    install.join()
    assert device.rauc_running() and int((device.root / "rauc.pid").read_text()) != old
    assert len(device.restart_requests()) == 1
    assert device.install(url) == ""


def test_restart_command_starts_dead_rauc(device):
    device.kill_rauc()
    assert subprocess.run([device.restart_command], timeout=120).returncode == 0
    assert device.slot_status()["A"]["state"] == "booted"


def test_rauc_stays_away(device):
    assert device.reboot(rauc=False) == "A"
    failed = subprocess.run([device.restart_command], capture_output=True, text=True, timeout=120)
    assert failed.returncode == 1 and "does not start" in failed.stderr
    assert not device.rauc_running()
    device.start_rauc()
    assert device.slot_status()["A"]["state"] == "booted"


def test_rauc_that_cannot_start(device):
    device.stop_rauc()
    device.system_conf.write_text("[system]\n")
    with pytest.raises(RaucError):
        device.start_rauc()
    assert not device.rauc_running()


def test_bus_restarts(device):
    device.stop_bus()
    wait_until(lambda: not device.rauc_running(), "RAUC's end")
    device.start_bus()
    device.start_rauc()
    assert device.slot_status()["A"]["state"] == "booted"


def test_reboot_command(device):
    begin = time.monotonic()
    for count in (1, 2):
        assert subprocess.run([device.reboot_command], timeout=120).returncode == 0
        device.wait_reboot_requested(count)
    assert len(device.reboot_requests()) == 2 and device.reboot_requests()[0] >= begin - 1
    with pytest.raises(TimeoutError):
        device.wait_reboot_requested(3, timeout=0)
    assert device.rauc_running()


def test_device_is_continued(tmp_path, pki, server, bundle):
    with Device(tmp_path / "device", pki) as device:
        assert device.install(server.publish(bundle.path)) == ""
    with Device(tmp_path / "device", pki) as device:
        assert (device.booted, device.firmware_version_file.read_text()) == ("B", "2.0.0\n")
        assert device.slot_status()["B"]["slot_status"]["bundle"]["version"] == "2.0.0"


# ------------------------------------------------------------------------------------------------------ nothing is left

def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def loops_on(root):
    """Loop devices on a file in this directory."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found += [backing] if backing.read_text().startswith(str(root)) else []
        except OSError:
            pass                                    # detached in between
    return found


def processes_of(root):
    """Processes with this directory in their command line or environment."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            text = (proc / "cmdline").read_bytes() + b"\0" + (proc / "environ").read_bytes()
        except OSError:
            continue
        if str(root).encode() in text and alive(proc.name) and int(proc.name) != os.getpid():
            found.append(text.split(b"\0")[:4])
    return found


def test_close_leaves_nothing(tmp_path, pki, server, bundle):
    root = tmp_path / "device"
    device = Device(root, pki)
    with device:
        device.hold_verb("set-primary")             # in mid-install: bundle mounted, loop device set up
        install = Background(device, server.publish(bundle.path))
        device.wait_backend_call("set-primary", "B")
        assert loops_on(root)
    install.join()
    device.close()
    wait_until(lambda: not loops_on(root), "the end of the loop devices")
    wait_until(lambda: not processes_of(root), "the end of all processes")
    assert str(root) not in Path("/proc/self/mountinfo").read_text()
    assert not list(root.glob("*.pid")) and not (root / "bus").exists() and not (root / "restart-rauc.socket").exists()


_VICTIM = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from simdevice import Device
device = Device(Path(sys.argv[2]), Path(sys.argv[3]))
device.start_bus()
device.power_on()
print("up", flush=True)
time.sleep(3600)
"""


def test_killed_test_leaves_no_process(tmp_path, pki):
    root = tmp_path / "device"
    victim = subprocess.Popen([sys.executable, "-c", _VICTIM, TOP / "tools", root, pki], stdout=subprocess.PIPE)
    assert victim.stdout.readline() == b"up\n"
    pids = [int((root / f"{name}.pid").read_text()) for name in ("rauc", "bus")]
    assert subprocess.run([root / "restart-rauc"], timeout=120).returncode == 0
    pids.append(int((root / "rauc.pid").read_text()))
    assert alive(pids[1]) and alive(pids[2])
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    wait_until(lambda: not any(map(alive, pids)), "the death of RAUC and its bus")


def test_long_path(tmp_path, pki):
    root = tmp_path / ("long " * 20) / "device"
    with Device(root, pki) as device:
        assert device.slot_status()["A"]["state"] == "booted"
        assert subprocess.run([device.restart_command], timeout=120).returncode == 0
        assert subprocess.run([device.reboot_command], timeout=120).returncode == 0
        sockets = device.bus.address
    assert str(root) not in sockets and not Path(sockets.partition("=")[2]).parent.exists()


def test_two_devices_at_once(tmp_path, pki, server, bundle):
    url = server.publish(bundle.path)
    with Device(tmp_path / "one", pki) as one, Device(tmp_path / "two", pki) as two:
        assert one.install(url) == ""
        assert (one.reboot(), two.reboot()) == ("B", "A")


# ---------------------------------------------------------------------------------------------------- the HTTP server

@pytest.fixture
def served(server, tmp_path):
    """A function that makes a request for a published file of 100 bytes: (status, headers, body)."""
    (tmp_path / "file").write_bytes(bytes(range(100)))
    server.publish(tmp_path / "file", "file")

    def get(**headers):
        address = urlsplit(server.url("file"))
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
        try:
            connection.request("GET", "/file?query", headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()
    return get


def test_server_ok_and_ranges(server, served):
    status, headers, body = served()
    assert (status, headers["Accept-Ranges"], body) == (200, "bytes", bytes(range(100)))
    status, headers, body = served(Range="bytes=10-19")
    assert (status, headers["Content-Range"], body) == (206, "bytes 10-19/100", bytes(range(10, 20)))
    assert served(Range="bytes=90-")[2] == bytes(range(90, 100))
    assert served(Range="bytes=100-")[0] == 416
    assert [r.range for r in server.requests("file")] == [None, "bytes=10-19", "bytes=90-", "bytes=100-"]
    assert server.requests() == sorted(server.requests("/file"), key=lambda r: r.time)
    assert server.wait_requests(4) == server.requests()
    with pytest.raises(TimeoutError):
        server.wait_requests(5, timeout=0)


def test_server_modes(server, served):
    server.fault("file", "no-ranges")
    status, headers, body = served(Range="bytes=10-19")
    assert (status, "Accept-Ranges" in headers, len(body)) == (200, False, 100)
    server.fault("file", "cut", after=40)
    with pytest.raises(http.client.IncompleteRead) as cut:
        served()
    assert cut.value.partial == bytes(range(40))
    server.fault("file", "no-ranges", after=30)
    with pytest.raises(http.client.IncompleteRead) as cut:
        served(Range="bytes=10-")
    assert cut.value.partial == bytes(range(30))
    server.fault("file", "slow", rate=400)
    begin = time.monotonic()
    assert served()[2] == bytes(range(100))
    assert time.monotonic() - begin >= 0.2
    server.fault("file", "redirect", location="/elsewhere")
    status, headers, _ = served()
    assert (status, headers["Location"]) == (302, "/elsewhere")
    server.fault("file", "503", times=2)
    assert [served()[0] for _ in range(3)] == [503, 503, 200]
    with pytest.raises(ValueError):
        server.fault("file", "nonsense")


def test_server_knows_what_it_serves(server, served, tmp_path):
    etag = served()[1]["ETag"]
    assert served(Range="bytes=90-", **{"If-Range": etag})[0] == 206
    (tmp_path / "file").write_bytes(bytes(100))
    status, headers, body = served(Range="bytes=90-", **{"If-Range": etag})
    assert (status, len(body)) == (200, 100) and headers["ETag"] != etag


def test_server_asks_for_a_password(server, served):
    url = server.protect("file", "charger", "p:w@d/ 100%")
    assert url == server.url("file").replace("127", "charger:p%3Aw%40d%2F%20100%25@127", 1)
    right = "Basic " + base64.b64encode(b"charger:p:w@d/ 100%").decode()
    assert [served()[0], served(Authorization=right)[0], served(Authorization=right[:-1])[0]] == [401, 200, 401]
    assert [request.allowed for request in server.requests("file")] == [False, True, False]


def test_server_close_ends_everything(served, server):
    fault = server.fault("file", "stall", after=10)
    seen = []

    def get():
        try:
            served()
        except http.client.IncompleteRead as error:
            seen.append(error.partial)
    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    fault.wait_reached()
    server.close()
    thread.join(120)
    assert seen == [bytes(range(10))]
    server.close()
    with pytest.raises(ConnectionRefusedError):
        served()


# ---------------------------------------------------------------------------------------- images, keys and bundles

def test_images(tmp_path):
    one = make_image(tmp_path / "1", "2.0.0", 8192)
    assert one.stat().st_size == 8192 and one.read_bytes().startswith(b"rauc-ocpp-demo 2.0.0\n")
    assert one.read_bytes() == make_image(tmp_path / "2", "2.0.0", 8192).read_bytes()
    assert one.read_bytes() != make_image(tmp_path / "3", "2.0.0", 8192, seed=1).read_bytes()
    assert read_version(one) == "2.0.0"
    one.write_bytes(one.read_bytes() + b"rest of the slot")
    assert read_version(one) == "2.0.0"
    for damaged in (b"", b"\n\n\n", bytes(8192), one.read_bytes()[:8000], one.read_bytes().replace(b"demo", b"dem0")):
        one.with_name("damaged").write_bytes(damaged)
        assert read_version(one.with_name("damaged")) is None
    for version in ("", "two words", "line\nbreak", "x" * 300):
        with pytest.raises(ValueError):
            make_image(tmp_path / "bad", version)


def test_bundle_cache_is_shared(tmp_path):
    """Several processes ask at once for what does not exist yet, and get the same."""
    script = ("import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); from simdevice import fixtures;"
              "b = fixtures.bundle(Path(sys.argv[2]), '1.2.3'); print(b.path, b.path.stat().st_ino)")
    command = [sys.executable, "-c", script, TOP / "tools", tmp_path]
    asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {process.communicate(timeout=120)[0] for process in asking}
    assert len(answers) == 1 and answers.pop().startswith(str(tmp_path))
    assert not list(tmp_path.glob("**/.new-*")) + list(tmp_path.glob(".pki.*"))


def verify(pki, ca, name, *options):
    command = ["openssl", "verify", "-x509_strict", "-CAfile", pki / f"{ca}.crt", *options, pki / f"{name}.crt"]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr


def test_tls_certificates(pki):
    for name in (["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]):
        assert verify(pki, "csms-ca", "csms", "-purpose", "sslserver", *name) == ""
    assert "mismatch" in verify(pki, "csms-ca", "csms-wronghost", "-verify_hostname", "localhost")
    assert "expired" in verify(pki, "csms-ca", "csms-expired")
    assert "unable to get local issuer" in verify(pki, "csms-ca", "csms-unknown")
    assert verify(pki, "charge-point-ca", "charge-point", "-purpose", "sslclient") == ""
    assert verify(pki, "manufacturer-root", "manufacturer-root") == ""


def test_certificates_are_valid_by_an_old_clock(pki):
    """What a charger takes for the time may be no more than its build time."""
    for ca, name in (("csms-ca", "csms"), ("rauc-ca", "signer"), ("charge-point-ca", "charge-point")):
        assert verify(pki, ca, name, "-attime", "1600000000") == ""


def test_keys_are_private(pki):
    assert {path.stat().st_mode & 0o777 for path in pki.glob("*.key")} == {0o600}


def test_pki_is_kept_and_completed(tmp_path):
    script = TOP / "certs" / "make-test-pki.sh"
    out = tmp_path / "pki"
    subprocess.run([script, out], check=True)
    before = (out / "signer.key").read_bytes()
    subprocess.run([script, out], check=True)
    assert (out / "signer.key").read_bytes() == before
    (out / "csms.key").unlink()                     # made by an older script, say: all of them anew
    subprocess.run([script, out], check=True)
    assert (out / "csms.key").exists() and (out / "signer.key").read_bytes() != before
    assert os.listdir(tmp_path) == ["pki"]


@pytest.mark.parametrize("arguments", [
    [], ["--bad"], ["--version"], ["--version", ""], ["--version", "1\n[hooks]"],
    ["--pki", ".", "--version", "1", "--image", "/nowhere", "--output", "x"],
    ["--pki", ".", "--version", "1", "--image", "/dev/null", "--output", "x", "--signer", "me"],
    ["--pki", ".", "--version", "1", "--image", "/dev/null", "--output", "x", "--format", "crypt"],
])
def test_make_bundle_usage_errors(tmp_path, arguments):
    done = subprocess.run([TOP / "tools" / "make-bundle.sh", *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert not os.listdir(tmp_path)
