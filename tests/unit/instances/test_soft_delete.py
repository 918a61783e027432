"""Deletes that are kept for a while, and states that an operator sets."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.services import start_actions
from cloud.workflow.states import ActionState, EventState
from instances.models import Instance
from instances.states import TaskState, VmState
from instances.sweeps import reclaim_soft_deleted
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, at, make_instance, project_of


def url(row: Instance) -> str:
    return f"{API}/servers/{row.pk}"


@pytest.fixture
def kept(settings: Any) -> None:
    settings.RECLAIM_INSTANCE_INTERVAL = 3600


def test_without_the_setting_a_delete_is_for_good(ann: Wire) -> None:
    row = make_instance(project_of(ann))
    assert ann.delete(url(row)).status_code == 204
    assert Action.objects.get().operation == "delete"


def test_with_the_setting_an_idle_instance_is_deleted_softly(ann: Wire, kept: None) -> None:
    row = make_instance(project_of(ann))
    assert ann.delete(url(row)).status_code == 204
    assert Action.objects.get().operation == "soft_delete"
    assert Instance.objects.get().task_state == TaskState.SOFT_DELETING


@pytest.mark.parametrize(
    "fields",
    [{"task_state": TaskState.SPAWNING}, {"host": "", "vm_state": VmState.ERROR}, {"vm_state": VmState.SOFT_DELETED}],
    ids=["busy", "on no host", "deleted softly already"],
)
def test_what_has_nothing_to_come_back_to_is_deleted_for_good(ann: Wire, kept: None, fields: dict[str, Any]) -> None:
    row = make_instance(project_of(ann), **fields)
    assert ann.delete(url(row)).status_code == 204
    assert Action.objects.get().operation == "delete"


def test_a_forced_delete_is_for_good(ann: Wire, kept: None) -> None:
    row = make_instance(project_of(ann))
    assert ann.post(f"{url(row)}/action", {"forceDelete": None}).status_code == 202
    assert Action.objects.get().operation == "delete"


def test_lists_hide_what_is_deleted_softly_unless_its_status_is_asked_for(ann: Wire) -> None:
    row = make_instance(project_of(ann), vm_state=VmState.SOFT_DELETED)
    assert ann.get(f"{API}/servers").json()["servers"] == []
    assert [s["id"] for s in ann.get(f"{API}/servers?status=SOFT_DELETED").json()["servers"]] == [str(row.pk)]
    assert ann.get(url(row)).json()["server"]["status"] == "SOFT_DELETED"


def test_the_sweep_deletes_what_was_kept_long_enough(ann: Wire, kept: None) -> None:
    now = timezone.now()
    old = make_instance(project_of(ann), vm_state=VmState.SOFT_DELETED, soft_deleted_at=now - timedelta(hours=2))
    make_instance(project_of(ann), vm_state=VmState.SOFT_DELETED, soft_deleted_at=now)
    reclaim_soft_deleted()
    action = Action.objects.get()
    assert (action.operation, action.target_id) == ("delete", old.pk)


def test_without_the_setting_the_sweep_deletes_nothing(ann: Wire) -> None:
    long_ago = timezone.now() - timedelta(days=9)
    make_instance(project_of(ann), vm_state=VmState.SOFT_DELETED, soft_deleted_at=long_ago)
    reclaim_soft_deleted()
    assert not Action.objects.exists()


# --- os-resetState ----------------------------------------------------------------------------------------------------


def reset(wire: Wire, row: Instance, state: str) -> Any:
    return wire.post(f"{url(row)}/action", {"os-resetState": {"state": state}}, **at("2.96"))


@pytest.mark.parametrize("state", ["active", "error"])
def test_an_admin_says_what_an_instance_is_and_ends_what_runs(admin: Wire, state: str) -> None:
    row = make_instance(project_of(admin), vm_state=VmState.STOPPED, task_state=TaskState.POWERING_ON)
    (action,) = start_actions(operation="start", targets=[row.pk], project_id="p", user_id="u", parameters={})
    step = ActionEvent.objects.create(action=action, seq=1, name="run_guest", role="host", host="h1", turn=1)
    assert reset(admin, row, state).status_code == 202
    row.refresh_from_db()
    assert (row.vm_state, row.task_state) == (state, None)
    action.refresh_from_db()
    step.refresh_from_db()
    assert (action.state, action.fault["code"], step.state) == (ActionState.FAILED, "action.reset", EventState.FAILED)
    assert action.turn == 2, "a late report of turn 1 would be believed"


def test_only_an_admin_may_reset_and_only_to_what_there_is(ann: Wire, admin: Wire) -> None:
    row = make_instance(project_of(ann), vm_state=VmState.STOPPED)
    assert reset(ann, row, "active").status_code == 403
    assert reset(admin, row, "paused").status_code == 400
    assert admin.post(f"{API}/servers/{uuid.uuid4()}/action", {"os-resetState": {"state": "error"}}).status_code == 404
    row.refresh_from_db()
    assert row.vm_state == VmState.STOPPED
