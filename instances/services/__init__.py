"""The only way in: what the API, the admin console and tests call to change this room's rows. One file a verb.

A service checks everything before it writes anything, writes in one transaction, and starts the action in it.
"""

from instances.services.boot import BootRequest, boot_instances
from instances.services.console import console_output
from instances.services.delete import delete_instance
from instances.services.lock import lock_instance, unlock_instance
from instances.services.power import hard_reboot_instance, start_instance, stop_instance
from instances.services.shelve import shelve_instance, shelve_offload_instance, unshelve_instance
from instances.services.snapshot import backup_instance, snapshot_instance
from instances.services.update import (
    add_tag,
    delete_metadata_key,
    remove_tag,
    replace_metadata,
    replace_tags,
    update_instance,
    update_metadata,
)

__all__ = [
    "BootRequest",
    "add_tag",
    "backup_instance",
    "boot_instances",
    "console_output",
    "delete_instance",
    "delete_metadata_key",
    "hard_reboot_instance",
    "lock_instance",
    "remove_tag",
    "replace_metadata",
    "replace_tags",
    "shelve_instance",
    "shelve_offload_instance",
    "snapshot_instance",
    "start_instance",
    "stop_instance",
    "unlock_instance",
    "unshelve_instance",
    "update_instance",
    "update_metadata",
]
