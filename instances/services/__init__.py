"""The only way in: what the API, the admin console and tests call to change this room's rows. One file a verb.

A service checks everything before it writes anything, writes in one transaction, and starts the action in it.
"""

from instances.services.boot import BootRequest, boot_instances
from instances.services.console import console_output
from instances.services.delete import delete_instance, request_delete, restore_instance
from instances.services.evacuate import evacuate_instance
from instances.services.live_migration import live_migrate_instance
from instances.services.lock import lock_instance, unlock_instance
from instances.services.migration_control import abort_live_migration, force_live_migration
from instances.services.password import change_password
from instances.services.power import (
    hard_reboot_instance,
    pause_instance,
    reboot_instance,
    resume_instance,
    start_instance,
    stop_instance,
    suspend_instance,
    trigger_crash_dump,
    unpause_instance,
)
from instances.services.rebuild import rebuild_instance
from instances.services.rescue import rescue_instance, unrescue_instance
from instances.services.reset_state import reset_state
from instances.services.resize import confirm_resize, migrate_instance, resize_instance, revert_resize
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
    "abort_live_migration",
    "add_tag",
    "backup_instance",
    "boot_instances",
    "change_password",
    "confirm_resize",
    "console_output",
    "delete_instance",
    "delete_metadata_key",
    "evacuate_instance",
    "force_live_migration",
    "hard_reboot_instance",
    "live_migrate_instance",
    "lock_instance",
    "migrate_instance",
    "pause_instance",
    "reboot_instance",
    "rebuild_instance",
    "remove_tag",
    "replace_metadata",
    "replace_tags",
    "request_delete",
    "rescue_instance",
    "reset_state",
    "resize_instance",
    "restore_instance",
    "resume_instance",
    "revert_resize",
    "shelve_instance",
    "shelve_offload_instance",
    "snapshot_instance",
    "start_instance",
    "stop_instance",
    "suspend_instance",
    "trigger_crash_dump",
    "unlock_instance",
    "unpause_instance",
    "unrescue_instance",
    "unshelve_instance",
    "update_instance",
    "update_metadata",
]
