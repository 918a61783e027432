"""The log of a server on the wire."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone

from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.states import ActionState, EventState, Verb
from instances.models import Instance
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, at, make_instance, project_of

ACTION_KEYS = {"action", "instance_uuid", "request_id", "user_id", "project_id", "start_time", "message"}


@pytest.fixture
def server(ann: Wire) -> Instance:
    return make_instance(project_of(ann))


def act(server: Instance, operation: str, minutes_ago: int, **fields: object) -> Action:
    begun = timezone.now() - timedelta(minutes=minutes_ago)
    wanted = {"request_id": f"req-{operation}-{minutes_ago}", "state": ActionState.SUCCEEDED, **fields}
    return Action.objects.create(
        target_type="instance",
        target_id=server.pk,
        operation=operation,
        project_id=server.project_id,
        user_id=server.user_id,
        deadline=begun,
        created_at=begun,
        updated_at=begun,
        **wanted,
    )


def url(server: Instance, rest: str = "") -> str:
    return f"{API}/servers/{server.pk}/os-instance-actions{rest}"


def test_actions_are_listed_newest_first_by_their_names_on_the_wire(ann: Wire, server: Instance) -> None:
    act(server, "boot", 9, state=ActionState.FAILED)
    act(server, "delete", 1)
    listed = ann.get(url(server), **at("2.84")).json()["instanceActions"]
    assert [(each["action"], each["message"]) for each in listed] == [("delete", None), ("create", "Error")]
    assert set(listed[0]) == ACTION_KEYS | {"updated_at"}
    assert len(listed[0]["start_time"]) == 26
    assert set(ann.get(url(server), **at("2.57")).json()["instanceActions"][0]) == ACTION_KEYS


def test_the_action_of_a_create_is_found_by_the_request_id_of_its_reply(ann: Wire, server: Instance) -> None:
    act(server, "boot", 1, request_id="req-1")
    assert ann.get(url(server, "/req-1")).json()["instanceAction"]["action"] == "create"
    assert ann.get(url(server, "/req-2")).status_code == 404


def test_events_tell_their_steps_and_how_they_ended(ann: Wire, admin: Wire, server: Instance) -> None:
    action = act(server, "boot", 1)
    now = timezone.now()
    made = {"action": action, "role": "host", "host": "h1", "started_at": now}
    done = {"state": EventState.DONE, "finished_at": now}
    ActionEvent.objects.create(seq=0, name="select_host", turn=1, **{**made, "host": ""}, **done)
    ActionEvent.objects.create(
        seq=1, name="fetch_image", turn=2, **made, state=EventState.FAILED, error={"message": "no such image"}
    )
    ActionEvent.objects.create(seq=1, name="fetch_image", turn=3, verb=Verb.UNDO, **made)
    events = ann.get(url(server, f"/{action.request_id}"), **at("2.84")).json()["instanceAction"]["events"]
    assert [(each["event"], each["result"], each["details"]) for each in events] == [
        ("select_host", "Success", None),
        ("fetch_image", "Error", "no such image"),
        ("undo fetch_image", None, None),
    ]
    keys = {"event", "start_time", "finish_time", "result"}
    assert set(events[0]) == keys | {"hostId", "details"}
    assert events[0]["hostId"] == ""
    assert len(events[1]["hostId"]) == 56

    def of(wire: Wire, version: str) -> set[str] | None:
        shown = wire.get(url(server, f"/{action.request_id}"), **at(version)).json()["instanceAction"]
        return set(shown["events"][0]) if "events" in shown else None

    assert of(ann, "2.50") is None
    assert of(ann, "2.51") == keys
    assert of(ann, "2.62") == keys | {"hostId"}
    assert of(admin, "2.50") == keys | {"traceback"}
    assert of(admin, "2.62") == keys | {"traceback", "hostId", "host"}


def test_actions_stay_readable_after_the_delete_from_2_21_on(ann: Wire, server: Instance) -> None:
    act(server, "delete", 1)
    Instance.objects.update(deleted_at=timezone.now())
    assert ann.get(url(server), **at("2.20")).status_code == 404
    assert len(ann.get(url(server), **at("2.21")).json()["instanceActions"]) == 1
    assert ann.get(url(server, "/req-delete-1"), **at("2.21")).status_code == 200


def test_another_projects_actions_are_404(bob: Wire, server: Instance) -> None:
    assert bob.get(url(server), **at("2.84")).status_code == 404


def test_actions_come_in_pages_and_by_time(ann: Wire, server: Instance) -> None:
    for minutes in range(5):
        act(server, "boot", minutes)
    first = ann.get(url(server, "?limit=2"), **at("2.58")).json()
    assert [each["request_id"] for each in first["instanceActions"]] == ["req-boot-0", "req-boot-1"]
    assert "marker=req-boot-1" in first["links"][0]["href"]
    rest = ann.get(url(server, "?marker=req-boot-1"), **at("2.58")).json()
    assert [each["request_id"] for each in rest["instanceActions"]] == ["req-boot-2", "req-boot-3", "req-boot-4"]
    assert "links" not in rest
    middle = quote((timezone.now() - timedelta(seconds=90)).isoformat())
    assert len(ann.get(url(server, f"?changes-since={middle}"), **at("2.58")).json()["instanceActions"]) == 2
    assert len(ann.get(url(server, f"?changes-before={middle}"), **at("2.66")).json()["instanceActions"]) == 3
    assert ann.get(url(server, "?marker=nope"), **at("2.58")).status_code == 400
    assert ann.get(url(server, "?changes-since=nope"), **at("2.58")).status_code == 400
    later = quote(timezone.now().isoformat())
    assert ann.get(url(server, f"?changes-since={later}&changes-before={middle}"), **at("2.66")).status_code == 400
