"""Every verb of the wire, from every wrong state, on a locked or another's instance, by who may not: from the table.

The right 4xx, and nothing changed. A verb that is served and has no line in `CALLS` fails here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from cloud.workflow.models import Action
from instances.api.views.server_actions import ACTIONS
from instances.models import Instance
from instances.states import VERBS, PowerState, TaskState, VerbRule, VmState
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, Ground, at, make_instance, project_of

OTHER_IMAGE = "00000000-0000-0000-0000-000000000009"


@dataclass(frozen=True)
class Call:
    """A verb: its key in the body, its row of the table, a body that fits, a version that has it."""

    key: str
    verb: str
    body: Any = None
    version: str = "2.96"


CALLS = (
    Call("os-stop", "stop"),
    Call("os-start", "start"),
    Call("reboot", "reboot", {"type": "SOFT"}),
    Call("reboot", "hard_reboot", {"type": "HARD"}),
    Call("pause", "pause"),
    Call("unpause", "unpause"),
    Call("suspend", "suspend"),
    Call("resume", "resume"),
    Call("trigger_crash_dump", "trigger_crash_dump"),
    Call("changePassword", "changePassword", {"adminPass": "secret"}),
    Call("createImage", "createImage", {"name": "saved"}),
    Call("createBackup", "createBackup", {"name": "saved", "backup_type": "daily", "rotation": 1}),
    Call("rebuild", "rebuild", {"imageRef": OTHER_IMAGE}),
    Call("rescue", "rescue", {}),
    Call("unrescue", "unrescue"),
    Call("shelve", "shelve"),
    Call("shelveOffload", "shelveOffload"),
    Call("unshelve", "unshelve"),
    Call("resize", "resize", {"flavorRef": "large"}),
    Call("migrate", "migrate"),
    Call("confirmResize", "confirmResize"),
    Call("revertResize", "revertResize"),
    Call("os-migrateLive", "live-migration", {"host": None, "block_migration": "auto"}),
    Call("evacuate", "evacuate", {}),
    Call("restore", "restore"),
)
# What is decided in the API alone, or is no change: tested where it is served.
WITHOUT_STATES = {"os-getConsoleOutput", "lock", "unlock", "os-resetState", "forceDelete"}

SERVED = [call for call in CALLS if call.key in ACTIONS]
WRONG_STATES = [
    pytest.param(call, state, id=f"{call.verb} from {state}")
    for call in SERVED
    for state in VmState
    if state not in VERBS[call.verb].allowed_vm_states and state != VmState.DELETED
]
each_served = pytest.mark.parametrize("call", SERVED, ids=[call.verb for call in SERVED])


def test_every_verb_that_is_served_is_called_here() -> None:
    assert set(ACTIONS) == {call.key for call in SERVED} | (WITHOUT_STATES & set(ACTIONS))


def rule(call: Call) -> VerbRule:
    return VERBS[call.verb]


def send(wire: Wire, row: Instance, call: Call) -> Any:
    return wire.post(f"{API}/servers/{row.pk}/action", {call.key: call.body}, **at(call.version))


def instance_for_verb(wire: Wire, call: Call, **fields: Any) -> Instance:
    """An instance of the caller's project from which the verb may start, but for `fields`."""
    states = {
        "vm_state": sorted(rule(call).allowed_vm_states)[0],
        "power_state": sorted(rule(call).allowed_power_states)[0],
        "image_properties": {"hw_qemu_guest_agent": "yes"},
    }
    return make_instance(project_of(wire), **{**states, **fields})


def unchanged(row: Instance) -> bool:
    """The row is as it was, and no action was written."""
    return Instance.objects.filter(pk=row.pk).values().get() == row_values(row) and not Action.objects.exists()


def row_values(row: Instance) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in Instance._meta.concrete_fields}


@pytest.mark.parametrize(("call", "state"), WRONG_STATES)
def test_from_a_wrong_state_it_is_409_with_the_state_named(
    admin: Wire, ground: Ground, call: Call, state: VmState
) -> None:
    row = instance_for_verb(admin, call, vm_state=state)
    reply = send(admin, row, call)
    assert reply.status_code == 409, reply.content
    assert f"vm_state {state}" in reply.json()["conflictingRequest"]["message"]
    assert unchanged(row)


@each_served
def test_while_something_runs_it_is_409(admin: Wire, ground: Ground, call: Call) -> None:
    row = instance_for_verb(admin, call, task_state=TaskState.SUSPENDING)
    reply = send(admin, row, call)
    assert reply.status_code == 409, reply.content
    assert "task_state suspending" in reply.json()["conflictingRequest"]["message"]
    assert unchanged(row)


@pytest.mark.parametrize(
    ("call", "power_state"),
    [(c, p) for c in SERVED for p in PowerState if p not in VERBS[c.verb].allowed_power_states],
    ids=lambda value: value.verb if isinstance(value, Call) else value.name,
)
def test_with_a_guest_in_a_wrong_power_state_it_is_409(
    admin: Wire, ground: Ground, call: Call, power_state: PowerState
) -> None:
    row = instance_for_verb(admin, call, power_state=power_state)
    reply = send(admin, row, call)
    assert reply.status_code == 409, reply.content
    assert f"power_state {power_state.name.lower()}" in reply.json()["conflictingRequest"]["message"]
    assert unchanged(row)


@each_served
def test_a_lock_refuses_non_admins_what_the_table_says(ann: Wire, ground: Ground, call: Call) -> None:
    row = instance_for_verb(ann, call, is_locked=True, locked_by="owner")
    reply = send(ann, row, call)
    if rule(call).is_for_admins:
        assert reply.status_code == 403, reply.content
    elif rule(call).refused_when_locked:
        assert reply.status_code == 409, reply.content
        assert "is locked" in reply.json()["conflictingRequest"]["message"]
    else:
        assert "is locked" not in reply.content.decode()
        return
    assert unchanged(row)


@each_served
def test_another_projects_instance_is_404(ann: Wire, bob: Wire, ground: Ground, call: Call) -> None:
    row = instance_for_verb(ann, call)
    assert send(bob, row, call).status_code == 404
    assert unchanged(row)


@each_served
def test_a_reader_may_not(ann: Wire, rita: Wire, ground: Ground, call: Call) -> None:
    row = instance_for_verb(ann, call)
    assert send(rita, row, call).status_code == 403
    assert unchanged(row)


@each_served
def test_a_body_that_does_not_fit_is_400(admin: Wire, ground: Ground, call: Call) -> None:
    row = instance_for_verb(admin, call)
    if isinstance(call.body, dict):
        reply = admin.post(f"{API}/servers/{row.pk}/action", {call.key: {"no such field": 1}}, **at(call.version))
        assert reply.status_code == 400, reply.content
    reply = admin.post(f"{API}/servers/{row.pk}/action", {call.key: call.body, "more": 1}, **at(call.version))
    assert reply.status_code == 400, reply.content
    assert unchanged(row)
