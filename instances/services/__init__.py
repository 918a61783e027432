"""The only way in: what the API, the admin console and tests call to change this room's rows. One file a verb.

A service checks everything before it writes anything, writes in one transaction, and starts the action in it.
"""

from instances.services.boot import BootRequest, boot_instances
from instances.services.console import console_output
from instances.services.delete import delete_instance
from instances.services.lock import lock_instance, unlock_instance
from instances.services.power import hard_reboot_instance, start_instance, stop_instance
from instances.services.resize import confirm_resize, migrate_instance, resize_instance, revert_resize
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
    "boot_instances",
    "confirm_resize",
    "console_output",
    "delete_instance",
    "delete_metadata_key",
    "hard_reboot_instance",
    "lock_instance",
    "migrate_instance",
    "remove_tag",
    "replace_metadata",
    "replace_tags",
    "resize_instance",
    "revert_resize",
    "start_instance",
    "stop_instance",
    "unlock_instance",
    "update_instance",
    "update_metadata",
]
