"""Facet `GuestAgent`: what qemu-guest-agent does inside the guest, over the channel that every domain of ours has."""

from __future__ import annotations

import contextlib
import logging

import libvirt

from hypervisor.errors import AgentSilent, GuestNotFound
from hypervisor.libvirt.connection import Connection, look_up
from hypervisor.libvirt.failures import understood

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 10


class LibvirtGuestAgent:
    """See `hypervisor.driver.GuestAgent`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def set_password(self, instance_id: str, user: str, password: str) -> None:
        """See `hypervisor.driver.GuestAgent.set_password`. libvirt's message never holds the password."""
        with understood(f"setting the password of {user!r} in the guest of instance {instance_id}", AgentSilent):
            found = look_up(self._connection.get(), instance_id)
            if found is None:
                raise GuestNotFound(f"there is no guest of instance {instance_id} on this host")
            with contextlib.suppress(libvirt.libvirtError):  # a libvirt that cannot waits its own while
                found.agentSetResponseTimeout(_ANSWER_SECONDS, 0)
            found.setUserPassword(user, password, 0)
        log.info("guest of instance %s: password of %r set", instance_id, user)
