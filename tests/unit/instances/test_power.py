"""The verbs that begin, end or halt a guest's run, on the wire: bodies, what they begin, and whom they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.workflow.models import Action
from instances.models import Instance
from instances.states import VERBS, PowerState, TaskState, VmState
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, at, make_instance, project_of

# body → verb of the table
BODIES: list[tuple[dict[str, Any], str]] = [
    ({"os-stop": None}, "stop"),
    ({"os-start": None}, "start"),
    ({"reboot": {"type": "SOFT"}}, "reboot"),
    ({"reboot": {"type": "HARD"}}, "hard_reboot"),
    ({"pause": None}, "pause"),
    ({"unpause": None}, "unpause"),
    ({"suspend": None}, "suspend"),
    ({"resume": None}, "resume"),
    ({"trigger_crash_dump": None}, "trigger_crash_dump"),
]
WRONG = [
    (body, verb, vm_state)
    for body, verb in BODIES
    for vm_state in VmState
    if vm_state != VmState.DELETED and vm_state not in VERBS[verb].allowed_vm_states
]
IDS = [verb for _, verb in BODIES]
_POWER = {
    VmState.PAUSED: PowerState.PAUSED,
    VmState.STOPPED: PowerState.SHUTDOWN,
    VmState.SUSPENDED: PowerState.SHUTDOWN,
}


def instance_for(wire: Wire, verb: str, **fields: Any) -> Instance:
    """An instance from whose state the verb starts."""
    allowed = VERBS[verb].allowed_vm_states
    vm_state = VmState.ACTIVE if VmState.ACTIVE in allowed else next(iter(allowed))
    power = _POWER.get(vm_state, PowerState.RUNNING)
    return make_instance(project_of(wire), **{"vm_state": vm_state, "power_state": power, **fields})


def act(wire: Wire, row: Instance, body: Any, version: str = "2.96") -> Any:
    return wire.post(f"{API}/servers/{row.pk}/action", body, **at(version))


@pytest.mark.parametrize(("body", "verb"), BODIES, ids=IDS)
def test_a_verb_is_accepted_shown_and_logged(ann: Wire, body: dict[str, Any], verb: str) -> None:
    row = instance_for(ann, verb)
    reply = act(ann, row, body)
    assert (reply.status_code, reply.content) == (202, b"")
    assert Action.objects.get().operation == verb
    assert Instance.objects.get().task_state == VERBS[verb].task_state
    shown = ann.get(f"{API}/servers/{row.pk}/os-instance-actions", **at("2.96")).json()["instanceActions"]
    assert [action["action"] for action in shown] == ["reboot" if verb == "hard_reboot" else verb]


@pytest.mark.parametrize(("body", "verb", "vm_state"), WRONG, ids=lambda value: str(value)[:24])
def test_a_verb_from_a_wrong_state_is_409_naming_it(
    ann: Wire, body: dict[str, Any], verb: str, vm_state: VmState
) -> None:
    row = make_instance(project_of(ann), vm_state=vm_state)
    before = Instance.objects.values().get()
    reply = act(ann, row, body)
    assert reply.status_code == 409
    assert vm_state in reply.json()["conflictingRequest"]["message"]
    assert Instance.objects.values().get() == before
    assert not Action.objects.exists()


@pytest.mark.parametrize(("body", "verb"), BODIES, ids=IDS)
def test_a_busy_server_is_409_naming_what_it_does(ann: Wire, body: dict[str, Any], verb: str) -> None:
    row = instance_for(ann, verb, task_state=TaskState.RESIZE_PREP)
    reply = act(ann, row, body)
    assert reply.status_code == 409
    assert "resize_prep" in reply.json()["conflictingRequest"]["message"]
    assert not Action.objects.exists()


@pytest.mark.parametrize("verb", ["pause", "suspend"])
def test_a_guest_that_does_not_run_cannot_be_halted(ann: Wire, verb: str) -> None:
    row = make_instance(project_of(ann), power_state=PowerState.PAUSED)
    reply = act(ann, row, {verb: None})
    assert reply.status_code == 409
    assert "power_state paused" in reply.json()["conflictingRequest"]["message"]


@pytest.mark.parametrize(("body", "verb"), BODIES, ids=IDS)
def test_a_lock_a_stranger_and_a_reader_change_nothing(
    ann: Wire, bob: Wire, rita: Wire, admin: Wire, body: dict[str, Any], verb: str
) -> None:
    row = instance_for(ann, verb, is_locked=True, locked_by="owner")
    assert act(bob, row, body).status_code == 404
    assert act(rita, row, body).status_code == 403
    assert not Action.objects.exists()
    assert act(ann, row, body).status_code == (202 if verb == "resume" else 409)
    if verb != "resume":
        assert not Action.objects.exists()
        assert act(admin, row, body).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        {"reboot": {}},
        {"reboot": None},
        {"reboot": {"type": "WARM"}},
        {"reboot": {"type": "SOFT", "timeout": 1}},
        {"reboot": {"type": None}},
        {"pause": None, "unpause": None},
        {"trigger_crash_dump": {}},
        {"power_on_again": None},
        {"end_unexpected_guest": None},
    ],
)
def test_a_malformed_verb_is_400_and_changes_nothing(ann: Wire, body: Any) -> None:
    row = make_instance(project_of(ann))
    reply = act(ann, row, body)
    assert reply.status_code == 400
    assert reply.json()["badRequest"]["message"]
    assert not Action.objects.exists()


def test_a_type_of_reboot_is_read_as_old_clients_write_it(ann: Wire) -> None:
    row = make_instance(project_of(ann))
    assert act(ann, row, {"reboot": {"type": "Soft"}}, "2.1").status_code == 202
    assert Action.objects.get().operation == "reboot"


def test_crash_dumps_begin_with_2_17(ann: Wire) -> None:
    row = make_instance(project_of(ann))
    assert act(ann, row, {"trigger_crash_dump": None}, "2.16").status_code == 400
    assert not Action.objects.exists()
    assert act(ann, row, {"trigger_crash_dump": None}, "2.17").status_code == 202


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"reboot": {"type": "SOFT"}}, "REBOOT"),
        ({"reboot": {"type": "HARD"}}, "HARD_REBOOT"),
        ({"pause": None}, "ACTIVE"),
    ],
)
def test_what_a_server_is_called_meanwhile(ann: Wire, body: dict[str, Any], status: str) -> None:
    row = make_instance(project_of(ann))
    act(ann, row, body)
    assert ann.get(f"{API}/servers/{row.pk}").json()["server"]["status"] == status


@pytest.mark.parametrize("body", [{"os-stop": None}, {"reboot": {"type": "HARD"}}], ids=["stop", "hard_reboot"])
def test_an_instance_whose_boot_failed_is_on_no_host_and_cannot_be_stopped_or_rebooted(
    ann: Wire, body: dict[str, Any]
) -> None:
    """Found by chaos: without a host there was no step to do, so the reboot succeeded, ACTIVE on no host."""
    row = instance_for(ann, "stop", vm_state=VmState.ERROR, power_state=PowerState.NOSTATE, host="")
    reply = act(ann, row, body)
    assert reply.status_code == 409
    assert "it is on no host" in reply.json()["conflictingRequest"]["message"]
    assert not Action.objects.exists()
    assert (Instance.objects.get().vm_state, Instance.objects.get().task_state) == (VmState.ERROR, None)
