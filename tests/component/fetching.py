# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of fetching bundles have in common: asking for one, and looking at what became of it."""
import json

from charger import BUILD
from simdevice import fixtures, wait_until

HAPPY = ["Downloading", "Downloaded", "Installing", "Installed"]
NO_DOWNLOAD = ["Downloading", "DownloadFailed"]
NO_INSTALL = ["Downloading", "Downloaded", "Installing", "InstallationFailed"]
USER = ("charger", "p:w@d/ 100%")
MIB = 1 << 20


def charger_that(make_charger, transport="download", update=None, device=None, **download):
    """A charger, started; `download` are settings of that group ('_' for '-'), `update` further ones of [update]."""
    keys = {name.replace("_", "-"): value for name, value in download.items()}
    settings = {"download": {"connect-timeout": "5", **keys}, "update": {"transport": transport, **(update or {})}}
    return make_charger(settings=settings, device=device or {}).start()


def ca_file():
    """Who has signed the certificates of the servers."""
    return fixtures.pki(BUILD) / "csms-ca.crt"


def ask(charger, url, options="retries=0", date="now"):
    """UpdateFirmware for a URL, as it is."""
    assert charger.csms_call(f"update {url} {date} {options}".strip())[2] == {}


def rows(charger, job=None):
    """The history, newest last; of one job, or all."""
    found = json.loads(charger.ctl("history", "--json").stdout)
    return [row for row in reversed(found) if job in (None, row["job"])]


def reasons(charger):
    """The words of the history, newest last."""
    return [row["detail"] for row in rows(charger) if row.get("detail")]


def events(charger, job=None):
    return [row["event"] for row in rows(charger, job)]


def in_spool(charger):
    """The names of what is in the spool."""
    return sorted(path.name for path in charger.spool.iterdir()) if charger.spool.exists() else []


def expect_download_failed(charger, words, count=1):
    """The `count`-th update has ended so; the history has these words, the spool is empty, the agent is up."""
    assert charger.wait_end(count) == "DownloadFailed"
    charger.wait_state("download-failed")
    assert words in reasons(charger)[-1], reasons(charger)[-1]
    assert charger.statuses()[-2:] == NO_DOWNLOAD
    assert in_spool(charger) == []
    assert charger.device.primary() == charger.device.booted and charger.install_calls() == 0


def expect_installed(charger, version="2.0.0", count=1, **bundle):
    """Plays the `count`-th update to its end: installed, byte for byte, and nothing is left in the spool."""
    slot = {"A": "B", "B": "A"}[charger.device.booted]
    assert charger.play(count) == "Installed", reasons(charger)
    charger.wait_state("installed")
    assert charger.device.booted == slot and charger.installed_image(slot, version, **bundle)
    assert in_spool(charger) == []


def wait_fetched(charger, count):
    """So many bytes of the bundle are in the spool, or it is whole."""
    def there():
        return any(path.suffix == ".raucb" or path.stat().st_size >= count
                   for path in charger.spool.glob("job-*[tb]") if path.exists())
    wait_until(there, f"{count} bytes in the spool")
