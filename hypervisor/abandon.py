"""What a host does with an instance that is not its own any more (rule R6): it was evacuated or deleted while the host
was away. Called with the answer to its hello, before it takes work.
"""

from __future__ import annotations

import logging

from cloud.errors import CloudError
from hypervisor.driver import Driver

log = logging.getLogger(__name__)


def abandon(driver: Driver, instance_id: str, *, keeps_disk: bool) -> None:
    """After it neither domain nor DHCP entry of the instance is left on this host; its directory neither, unless
    `keeps_disk`: on shared storage it is the disk of the host that has the instance now. May run twice.

    Raises what the driver raises about the guest: with that left, the host must not take work. What else cannot be
    removed is said and left: it does no harm.
    """
    driver.lifecycle.settle(instance_id)
    driver.lifecycle.remove(instance_id, None)  # first: from here on nothing writes to the disk
    try:
        driver.interfaces.unplug(instance_id, driver.interfaces.plugged(instance_id), None)
        if not keeps_disk:
            driver.disks.delete(instance_id, None)
    except CloudError as trouble:
        log.warning("something of instance %s stays on this host: %s", instance_id, trouble.message)
    log.warning(
        "instance %s is not this host's any more: its guest is removed%s",
        instance_id,
        ", its disk is kept" if keeps_disk else " with its disk",
    )
