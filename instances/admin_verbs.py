"""The verbs of the operator's console: each an action on the chosen instances, through the same services as the API."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from cloud.errors import CloudError
from instances import services
from instances.models import Instance
from instances.operators import caller_of
from instances.states import VmState

Service = Callable[..., Any]

# Name, what the menu says of the chosen instances, the service; in the order of the menu.
VERBS: tuple[tuple[str, str, Service], ...] = (
    ("start_instances", "Start", services.start_instance),
    ("stop_instances", "Stop", services.stop_instance),
    ("reboot_instances", "Reboot (soft)", services.reboot_instance),
    ("hard_reboot_instances", "Reboot (hard)", services.hard_reboot_instance),
    ("pause_instances", "Pause", services.pause_instance),
    ("unpause_instances", "Unpause", services.unpause_instance),
    ("suspend_instances", "Suspend", services.suspend_instance),
    ("resume_instances", "Resume", services.resume_instance),
    ("shelve_instances", "Shelve", services.shelve_instance),
    ("shelve_offload_instances", "Shelve: take off the host", services.shelve_offload_instance),
    ("unshelve_instances", "Unshelve", services.unshelve_instance),
    ("unrescue_instances", "Unrescue", services.unrescue_instance),
    ("live_migrate_instances", "Live migrate", services.live_migrate_instance),
    ("migrate_instances", "Migrate (cold)", services.migrate_instance),
    ("confirm_resize", "Confirm the move", services.confirm_resize),
    ("revert_resize", "Revert the move", services.revert_resize),
    ("lock_instances", "Lock", services.lock_instance),
    ("unlock_instances", "Unlock", services.unlock_instance),
    ("restore_instances", "Restore (deleted softly)", services.restore_instance),
    ("reset_to_error", "Reset state to ERROR", partial(services.reset_state, vm_state=VmState.ERROR)),
    ("reset_to_active", "Reset state to ACTIVE", partial(services.reset_state, vm_state=VmState.ACTIVE)),
    ("delete_instances", "Delete", services.delete_instance),
)


def verb_actions() -> tuple[Any, ...]:
    """What `ModelAdmin.actions` takes, one for each verb."""
    return tuple(_action(name, label, service) for name, label, service in VERBS)


def _action(name: str, label: str, service: Service) -> Any:
    @admin.action(description=f"{label}: the chosen instances", permissions=["operate"])
    def act(model_admin: Any, request: HttpRequest, chosen: QuerySet[Instance]) -> None:
        caller = caller_of(request)
        for instance in chosen:
            try:
                service(caller=caller, instance=instance)
            except CloudError as error:
                model_admin.message_user(request, f"{instance}: {error.message}", messages.ERROR)
            else:
                model_admin.message_user(request, f"{instance}: {label.lower()} asked for")

    act.__name__ = name
    return act
