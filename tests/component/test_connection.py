# SPDX-License-Identifier: LGPL-2.1-or-later
"""The connection of the agent to the world: security profiles, secrets, names, the store, systemd, a missing bus."""
import base64
import contextlib
import pathlib
import re
import socket
import sqlite3
import ssl
import sys
import time

import pytest

from charger import wait_until
from otherclock import clock_at
from simdevice import MockCsms
from stages import NOW, STARTED, wait_control, wait_up

# The specification's own example (W, A00): identity, key, and what stands in the header.
KEY = "0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF"
SPEC_HEADER = "Basic QUwxMDAwOgABAgMEBQYH////////////////"
WORKS = {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]}
# csms.crt begins in 2020; a charger whose clock says 1970 gets there by its build time or what it last heard.
TLS_FAILED = "cannot connect to wss://127.0.0.1"


def power_on(charger):
    """Switched on, not waited for."""
    charger.device.start_bus()
    charger.device.power_on()
    charger.start_agent()


def secure(make_charger, pki, profile, csms=(), tls="csms", agent=None, key=KEY, port=0, identity="AL1000", **options):
    """A charger of that security profile before a CSMS with the certificate `tls`; switched on, not waited for."""
    server = ["--tls-cert", pki / f"{tls}.crt", "--tls-key", pki / f"{tls}.key"] if profile >= 2 else []
    charger = make_charger(settings={"csms": {}}, csms=[*server, "--port", port, *csms], **options)
    key_file = charger.path / "authorization-key"
    key_file.write_text(key + "\n")
    key_file.chmod(0o600)
    keys = {
        1: {"authorization-key-file": key_file},
        2: {"authorization-key-file": key_file, "ca-file": pki / "csms-ca.crt"},
        3: {"client-cert-file": pki / "charge-point.crt", "client-key-file": pki / "charge-point.key",
            "ca-file": pki / "csms-ca.crt"},
    }[profile]
    scheme = "ws" if profile == 1 else "wss"
    charger.settings["csms"].update({"url": f"{scheme}://127.0.0.1:{charger.csms.port}/ocpp", "identity": identity,
                                     "security-profile": str(profile), **keys, **(agent or {})})
    power_on(charger)
    return charger


def basic(key=KEY, user="AL1000"):
    return ["--basic-user", user, "--basic-password-hex", key]


def assert_works(charger):
    charger.wait_registered()
    assert charger.csms_call("get-configuration HeartbeatInterval")[2] == WORKS


def replace_csms(charger, *options):
    """Another CSMS on the same port; the old one's frames stay to be judged."""
    port = charger.csms.port
    old = charger.csms
    old.stop()
    assert not [event for event in old.events if event.get("errors")]
    charger.csms = MockCsms("--port", port, *options)
    assert charger.csms.port == port


# ----------------------------------------------------------------------------------------------------- profiles that work

def test_profile_1_sends_the_keys_bytes(make_charger, pki):
    charger = secure(make_charger, pki, 1, basic())
    assert_works(charger)
    connected = charger.csms.wait_event("connected")
    assert connected["headers"]["authorization"] == SPEC_HEADER
    assert connected["path"] == "/ocpp/AL1000"


@pytest.mark.parametrize("key, identity", [("plain text, 16 +", "AL1000"), ("0123456789abcdef", "CP:1"),
                                           ("00112233445566778899aabbccddeeff", "CP:1")])
def test_profile_1_with_other_keys(make_charger, pki, key, identity):
    """32 to 40 hexadecimal digits are bytes, all else is text (TC_085); an identity may hold a colon."""
    text = key.strip()
    raw = bytes.fromhex(text) if len(text) >= 32 else text.encode()
    charger = secure(make_charger, pki, 1, basic(raw.hex(), identity), key=text, identity=identity)
    assert_works(charger)
    header = charger.csms.wait_event("connected")["headers"]["authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")) == identity.encode() + b":" + raw


def test_profile_2(make_charger, pki):
    charger = secure(make_charger, pki, 2, basic())
    assert_works(charger)
    assert charger.csms.wait_event("connected")["headers"]["authorization"] == SPEC_HEADER


def test_profile_3_shows_its_certificate_and_no_password(make_charger, pki):
    charger = secure(make_charger, pki, 3, ["--tls-ca", pki / "charge-point-ca.crt"])
    assert_works(charger)
    assert "authorization" not in charger.csms.wait_event("connected")["headers"]


def test_a_whole_update_over_tls(make_charger, pki):
    charger = secure(make_charger, pki, 2, basic())
    charger.wait_registered()
    charger.update("2.0.0")
    assert charger.play() == "Installed"
    assert charger.statuses() == [*STARTED, "Installed"]


def test_the_host_name_is_what_is_verified(make_charger, pki):
    """`localhost` is resolved, and then verified by its name."""
    charger = secure(make_charger, pki, 2, basic())
    charger.kill_agent()
    charger.settings["csms"]["url"] = f"wss://localhost:{charger.csms.port}/ocpp"
    start = charger.csms.mark()
    charger.start_agent()
    connected = charger.csms.wait_event("connected", start=start)
    assert connected["headers"]["host"] == f"localhost:{charger.csms.port}"


# --------------------------------------------------------------------------- profiles that do not, and how they recover

def test_a_wrong_password_is_said_and_tried_again(make_charger, pki):
    charger = secure(make_charger, pki, 1, basic("11" * 20))
    charger.wait_log("the CSMS refused identity or password (HTTP 401); next try in", 2)
    wait_control(charger)
    assert charger.status()["connection-trouble"] == "the CSMS refused identity or password (HTTP 401)"
    assert charger.csms.received() == []
    replace_csms(charger, *basic())
    assert_works(charger)


@pytest.mark.parametrize("profile", [2, 3])
@pytest.mark.parametrize("certificate, words", [
    ("csms-unknown", "TLS: the certificate of 127.0.0.1 comes from an unknown CA ("),
    ("csms-wronghost", "TLS: the certificate is not made out for 127.0.0.1: wrong host ("),
    ("csms-expired", "TLS: the certificate of 127.0.0.1, judged at "),
])
def test_a_bad_server_certificate_is_refused_until_a_good_one_comes(make_charger, pki, profile, certificate, words):
    proof = basic() if profile == 2 else ["--tls-ca", pki / "charge-point-ca.crt"]
    charger = secure(make_charger, pki, profile, proof, tls=certificate)
    charger.wait_log(words, 2)
    log = charger.log_text()
    assert TLS_FAILED in log and "registration" not in log
    if certificate == "csms-expired":
        assert "is expired or not valid yet (certificate has expired)" in log
    wait_control(charger)
    assert charger.status()["connection-trouble"].startswith(words) and not charger.status()["connected"]
    # Not even a request with its password has gone out.
    assert not [event for event in charger.csms.events if event["event"] in ("connected", "refused", "received")]
    replace_csms(charger, "--tls-cert", pki / "csms.crt", "--tls-key", pki / "csms.key", *proof)
    assert_works(charger)


def test_no_tls_on_the_servers_port(make_charger, pki):
    charger = secure(make_charger, pki, 2, basic())
    replace_csms(charger, *basic())
    charger.restart_agent()
    charger.wait_log("TLS: the server does not speak TLS on this port")
    assert charger.csms.received() == []


FOREIGN = ("csms-unknown.crt", "csms-unknown.key")


def test_a_client_certificate_that_the_server_does_not_know(make_charger, pki):
    """This server hangs up so quickly that its reason is often lost."""
    charger = secure(make_charger, pki, 3, ["--tls-ca", pki / "charge-point-ca.crt"],
                     agent={"client-cert-file": pki / FOREIGN[0], "client-key-file": pki / FOREIGN[1]})
    charger.wait_log("; next try in ", 2)
    whys = re.findall(r"cannot connect to wss://\S+: (.*); next try in ", charger.log_text())
    assert set(whys) <= {"the server closed the connection during the WebSocket handshake",
                         'TLS: the CSMS refused with the alert "unknown CA"'}
    assert not [event for event in charger.csms.events if event["event"] == "connected"]
    charger.settings["csms"].update({"client-cert-file": pki / "charge-point.crt", "client-key-file": pki / "charge-point.key"})
    charger.restart_agent()
    assert_works(charger)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_says_why_it_refuses_the_certificate(make_charger, pki, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "csms.crt", pki / "csms.key")
    context.load_verify_locations(pki / "charge-point-ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        charger = secure(make_charger, pki, 3, agent={"client-cert-file": pki / FOREIGN[0], "client-key-file": pki / FOREIGN[1],
                                                      "url": f"wss://127.0.0.1:{listener.getsockname()[1]}/ocpp"})
        peer, _ = listener.accept()
        tls = context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False)
        with pytest.raises(ssl.SSLError):
            tls.do_handshake()
        with socket.socket(fileno=tls.detach()) as rest:        # a reset would overtake the alert
            rest.settimeout(60)
            while rest.recv(4096):
                pass
        charger.wait_log('TLS: the CSMS refused with the alert "unknown CA"')


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(make_charger, pki, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "csms.crt", pki / "csms.key")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        charger = secure(make_charger, pki, 2, agent={"url": f"wss://127.0.0.1:{listener.getsockname()[1]}/ocpp"})
        peer, _ = listener.accept()
        with pytest.raises((ssl.SSLError, OSError)), context.wrap_socket(peer, server_side=True):
            pass
        charger.wait_log("TLS: ")
        assert re.search(r"cannot connect to wss://\S+: TLS: .*(version|protocol)", charger.log_text())


@pytest.mark.parametrize("change, words", [
    ({"client-key-file": "charge-point-ca.key"}, "as the charge point's key: "),
    ({"client-cert-file": "charge-point.key"}, "as the charge point's certificate: "),
    ({"ca-file": "charge-point.key"}, "as the CA certificate: "),
])
def test_files_that_are_of_no_use_are_said(make_charger, pki, change, words):
    """The process goes on: RAUC and the job need it, and somebody may mend the file."""
    charger = secure(make_charger, pki, 3, agent={key: pki / name for key, name in change.items()})
    charger.wait_log("critical: no connection to the CSMS is possible: cannot use ")
    assert words in charger.log_text()
    wait_control(charger)
    assert words in charger.status()["connection-trouble"]


def test_tls_when_the_clock_says_1970(make_charger, pki, tmp_path):
    """The certificate begins in 2020.  It is judged by the build's time first, and then by what the CSMS last said."""
    charger = secure(make_charger, pki, 2, [*basic(), "--time", NOW], wrap=clock_at(tmp_path))
    assert_works(charger)
    charger.restart_agent()
    wait_up(charger)
    # What it was told is kept: a certificate that ended before that is refused, whatever the clock says.
    replace_csms(charger, "--tls-cert", pki / "csms-expired.crt", "--tls-key", pki / "csms-expired.key", *basic())
    charger.restart_agent()
    charger.wait_log("TLS: the certificate of 127.0.0.1, judged at 2031-05-01T12:0")
    replace_csms(charger, "--tls-cert", pki / "csms.crt", "--tls-key", pki / "csms.key", *basic())
    wait_up(charger)


# ---------------------------------------------------------------------------------------------------------------- secrets

def test_the_authorization_key_is_nowhere_to_be_read(make_charger, pki):
    charger = secure(make_charger, pki, 1, basic())
    charger.wait_registered()
    charger.update("2.0.0")
    charger.wait_reboot_requested()
    charger.csms_call(f"change-configuration AuthorizationKey {KEY}")
    conf = charger.csms_call("get-configuration AuthorizationKey")[2]
    assert conf == {"configurationKey": [], "unknownKey": ["AuthorizationKey"]}
    assert "AuthorizationKey" not in str(charger.csms_call("get-configuration")[2])
    assert charger.csms.command("drop") == "ok"                 # the words of trouble, too
    wait_control(charger)

    raw = bytes.fromhex(KEY)
    secrets = [KEY.encode(), KEY.lower().encode(), raw, raw[:12], SPEC_HEADER.removeprefix("Basic ").encode(),
               base64.b64encode(raw)]
    with contextlib.closing(sqlite3.connect(charger.store)) as store:
        dump = "\n".join(store.iterdump())
    proc = pathlib.Path(f"/proc/{charger.agent.pid}")
    texts = {"log": charger.log.read_bytes(), "dump": dump.encode(),
             "command line": (proc / "cmdline").read_bytes(), "environment": (proc / "environ").read_bytes(),
             **{path.name: path.read_bytes() for path in charger.store.parent.iterdir()}}
    for args in (["status"], ["status", "--json"], ["history"], ["history", "--json"], ["check-config"]):
        done = charger.ctl(*args)
        texts[" ".join(args)] = (done.stdout + done.stderr).encode()
    assert {"log", "dump", "store.db", "status"} <= set(texts)
    for name, text in texts.items():
        for secret in secrets:
            assert secret not in text, name


# ------------------------------------------------------------------------------------------------------ a silent resolver

WITH_SILENT_DNS = """
import fcntl, os, socket, struct, subprocess, sys
loopback = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(loopback, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))        # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
nameserver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
nameserver.bind(("127.0.0.1", 53))
nameserver.set_inheritable(True)                # the agent inherits it, and nobody ever reads from it
subprocess.run(["mount", "--bind", sys.argv[1], "/etc/resolv.conf"], check=True)
os.execv(sys.argv[2], sys.argv[2:])
"""


def behind_a_silent_resolver(make_charger, tmp_path):
    """In a network of its own, where whoever asks the name server hears nothing."""
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
    charger = make_charger(settings={"csms": {"url": "ws://csms.example:9000/ocpp"}},
                           wrap=["unshare", "-n", "-m", "--propagation", "slave", sys.executable, "-c", WITH_SILENT_DNS,
                                 str(resolv_conf)])
    power_on(charger)
    wait_control(charger)
    return charger


def test_a_silent_resolver_holds_nothing_up(make_charger, tmp_path):
    charger = behind_a_silent_resolver(make_charger, tmp_path)
    wait_until(lambda: charger.status()["rauc"] == "idle", "RAUC")      # D-Bus is served
    assert not charger.status()["connected"]
    assert charger.ctl("history").stdout == ""
    assert "DNS" not in charger.log_text()                              # and the name is still being looked for
    charger.wait_log("DNS: no answer for csms.example within 10 s")
    assert charger.status()["connection-trouble"] == "DNS: no answer for csms.example within 10 s"


def test_sigterm_during_a_silent_lookup(make_charger, tmp_path):
    charger = behind_a_silent_resolver(make_charger, tmp_path)
    begun = time.monotonic()
    charger.stop_agent()
    assert "DNS" not in charger.log_text() and time.monotonic() - begun < 10


def test_a_name_that_does_not_exist(make_charger):
    charger = make_charger(settings={"csms": {"url": "ws://no-such-host.invalid:9000/ocpp"}})
    power_on(charger)
    charger.wait_log("DNS: cannot resolve no-such-host.invalid: ")
    wait_control(charger)


# ------------------------------------------------------------------------------------------------- settings and the store

@pytest.mark.parametrize("command", ["run", "check-config"])
def test_bad_settings_are_told_line_by_line(make_charger, command):
    charger = make_charger(settings={"csms": {"url": "http://wrong", "security-profile": "7"},
                                     "update": {"reboot-permission": "perhaps"},
                                     "charge-point": {"firmware-version-file": None, "firmware-version": "1"}})
    charger.write_settings()
    done = charger.ctl(command, check=False)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 3 and all(f"{charger.config}:" in line for line in lines), lines
    for key in ("csms.url: ", "csms.security-profile: ", "update.reboot-permission: "):
        assert sum(key in line for line in lines) == 1, lines


def test_a_second_agent_on_the_same_store_ends_at_once(charger):
    wait_up(charger)
    done = charger.ctl("run", check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"critical: cannot open the store {charger.store}: another rauc-ocpp-agent uses it")
    assert charger.csms_call("get-configuration HeartbeatInterval")[2] == WORKS
    charger.stop_agent()                        # and it is free again at once
    charger.start_agent()
    wait_up(charger)


# ---------------------------------------------------------------------------------------------------------------- systemd

def test_sigterm_closes_with_going_away(charger):
    start = charger.csms.mark()
    charger.stop_agent()
    closed = charger.csms.wait_event("disconnected", start=start)
    assert (closed["code"], closed["by"]) == (1001, "charge point")


class ServiceManager:
    """The other end of sd_notify(3)."""

    def __init__(self, folder):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.path = str(folder / "notify")
        self.socket.bind(self.path)
        self.socket.settimeout(0.05)
        self.messages = []

    def seen(self):
        with contextlib.suppress(TimeoutError):
            while True:
                self.messages.append(self.socket.recv(4096).decode())
        return self.messages

    def wait(self, text, count=1):
        wait_until(lambda: self.seen().count(text) >= count, f"{text} from the agent")


def test_notifications_to_systemd(make_charger, tmp_path):
    manager = ServiceManager(tmp_path)
    charger = make_charger(wrap=["env", f"NOTIFY_SOCKET={manager.path}", "WATCHDOG_USEC=400000"]).start()
    manager.wait("READY=1")
    manager.wait("STATUS=Accepted")
    manager.wait("WATCHDOG=1", 4)               # every 0.2 s
    charger.update("2.0.0")
    manager.wait("STATUS=Accepted; job 1 rebooting")
    assert charger.csms.command("stop-listening") == "ok"
    assert charger.csms.command("drop") == "ok"
    manager.wait("STATUS=not connected; job 1 rebooting")
    charger.stop_agent()
    manager.wait("STOPPING=1")
    texts = manager.seen()
    assert texts.index("READY=1") < texts.index("STATUS=Accepted") < texts.index("STOPPING=1")
    assert texts.count("READY=1") == texts.count("STOPPING=1") == 1
    manager.socket.close()


def test_no_watchdog_without_systemd_s_wish(make_charger, tmp_path):
    manager = ServiceManager(tmp_path)
    charger = make_charger(wrap=["env", f"NOTIFY_SOCKET={manager.path}"]).start()
    manager.wait("STATUS=Accepted")
    charger.stop_agent()
    manager.wait("STOPPING=1")
    assert "WATCHDOG=1" not in manager.seen()
    manager.socket.close()


# ----------------------------------------------------------------------------------------------------------------- no bus

def without_bus(make_charger, tmp_path, **rauc):
    charger = make_charger(settings={"rauc": rauc},
                           wrap=["env", f"DBUS_SYSTEM_BUS_ADDRESS=unix:path={tmp_path}/nowhere"])
    power_on(charger)
    charger.wait_registered()
    charger.wait_log("no system bus (")
    return charger


def test_without_a_bus_it_is_a_charge_point_all_the_same(make_charger, tmp_path):
    charger = without_bus(make_charger, tmp_path)
    assert charger.csms_call("get-configuration HeartbeatInterval")[2] == WORKS
    charger.update("2.0.0")
    charger.wait_step("downloading -> install-wait")
    charger.settle(STARTED[:2])
    assert charger.csms_call("trigger FirmwareStatusNotification")[2] == {"status": "Accepted"}
    charger.wait_status("Downloaded", 2)
    assert charger.agent.running()
    charger.wrap = []                           # the bus comes with the next start
    charger.restart_agent()
    assert charger.play() == "Installed"
    assert charger.statuses() == [*STARTED[:2], "Downloaded", "Installing", "Installed"]


def test_without_a_bus_an_update_fails_in_the_end(make_charger, tmp_path):
    charger = without_bus(make_charger, tmp_path, **{"absent-timeout": "2"})
    charger.update("2.0.0")
    assert charger.wait_end() == "DownloadFailed"
    assert charger.statuses() == [*STARTED[:2], "DownloadFailed"]
    charger.wait_log("state=install-wait -> download-failed event=fail-last reason=RAUC does not answer")
    assert charger.install_calls() == 0
