"""The only way in: what the API, the admin console and tests call to change this room's rows. One file a verb.

A service checks everything before it writes anything, writes in one transaction, and starts the action in it.
"""

from instances.services.boot import BootRequest, boot_instances
from instances.services.console import console_output
from instances.services.delete import delete_instance
from instances.services.live_migration import live_migrate_instance
from instances.services.lock import lock_instance, unlock_instance
from instances.services.migration_control import abort_live_migration, force_live_migration
from instances.services.power import hard_reboot_instance, start_instance, stop_instance
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
    "abort_live_migration",
    "add_tag",
    "boot_instances",
    "console_output",
    "delete_instance",
    "delete_metadata_key",
    "force_live_migration",
    "hard_reboot_instance",
    "live_migrate_instance",
    "lock_instance",
    "remove_tag",
    "replace_metadata",
    "replace_tags",
    "start_instance",
    "stop_instance",
    "unlock_instance",
    "update_instance",
    "update_metadata",
]
