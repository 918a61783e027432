"""How the targets of the doctor's own operations come to be: damage, made by hand."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cloud.workflow.models import Action
from cloud.workflow.services import start_actions
from hypervisor import side_files
from instances.states import PowerState

if TYPE_CHECKING:
    from tests.operations.scenarios import World


def _domain_undefined_by_hand(world: World) -> Action:
    world.booted()
    instance = world.instance()
    world.box.executors[instance.host].driver.lifecycle.remove(str(instance.pk), None)
    return world.begin_own("restore_guest")


def _cleared_by_the_doctor(world: World) -> Action:
    """A domain, off, on a host that the instance is not on."""
    world.booted()
    instance = world.instance()
    other = next(name for name in world.box.executors if name != instance.host)
    lifecycle = world.box.executors[instance.host].driver.lifecycle
    note = {**(lifecycle.note(str(instance.pk)) or {}), "power_state": PowerState.SHUTDOWN}  # type: ignore[attr-defined]
    path = world.box.configs[other].state_dir / "simulated" / "domains" / f"{instance.pk}.json"
    side_files.write(path, note)
    return _clear(instance.pk, "instance", "clear_remains", {"remains": {other: {"domain": True}}})


def _cache_cleared_by_the_doctor(world: World) -> Action:
    world.booted()
    host = world.instance().host
    base = world.box.configs[host].base_dir / ("f" * 128)
    base.write_bytes(b"unknown")
    wanted = {"host": host, "base": base.name, "used_at": base.stat().st_mtime}
    return _clear(uuid.uuid4(), "thing on a host", "clear_cache", wanted)


def _clear(target: uuid.UUID, target_type: str, operation: str, parameters: dict[str, Any]) -> Action:
    (action,) = start_actions(
        operation=operation,
        targets=[target],
        target_type=target_type,
        project_id="",
        user_id="",
        parameters=parameters,
    )
    return action


SCENARIOS: dict[str, Callable[[World], Action]] = {
    "restore_guest": _domain_undefined_by_hand,
    "clear_remains": _cleared_by_the_doctor,
    "clear_cache": _cache_cleared_by_the_doctor,
}
