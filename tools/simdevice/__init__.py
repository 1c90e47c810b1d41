# SPDX-License-Identifier: LGPL-2.1-or-later
"""A simulated A/B charger around the real RAUC, for the component tests and the demo.

`Device` is the charger: two slots in plain files, a boot loader that counts attempts, a bus of its own and the
real `rauc service`.  `MockCsms` runs the mock CSMS.  `FaultServer` serves bundles
over HTTP and breaks transfers on request.  `fixtures` makes and caches keys and bundles.  Needs root, RAUC, dbus-daemon, gdbus and util-linux; nothing outside the standard library.
"""
from .bootenv import ATTEMPTS, SLOTS, BackendCall, BootEnv, BootFailed
from .csms import MockCsms
from .device import COMPATIBLE, Device, RaucError
from .faultserver import Fault, FaultServer, Request
from .image import make_image, read_version
from .process import wait_until

__all__ = [
    "ATTEMPTS", "BackendCall", "BootEnv", "BootFailed", "COMPATIBLE", "Device", "Fault", "FaultServer", "RaucError",
    "MockCsms", "Request", "SLOTS", "make_image", "read_version", "wait_until",
]
