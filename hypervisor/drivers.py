"""Loads a driver by the word in settings. A driver's code, and what it imports, is loaded only when it is used."""

from __future__ import annotations

from importlib import import_module

from hypervisor.config import HostConfig
from hypervisor.driver import Driver

DRIVERS = {
    "libvirt": "hypervisor.libvirt.driver.LibvirtDriver",
    "simulated": "hypervisor.simulated.driver.SimulatedDriver",
}


def load(config: HostConfig) -> Driver:
    """The driver of this host. Errors: ValueError, for a word that is none of `DRIVERS`."""
    path = DRIVERS.get(config.driver)
    if path is None:
        raise ValueError(f"KILONOVA_DRIVER is {config.driver!r}; it may be {' or '.join(sorted(DRIVERS))}")
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)(config)
