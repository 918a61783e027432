"""Changing, locking and deleting servers; metadata and tags."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.states import ActionState
from instances.models import Instance
from instances.states import TaskState, VmState
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, Ground, at, make_instance, project_of


@pytest.fixture
def server(ann: Wire) -> Instance:
    return make_instance(project_of(ann))


def url(server: Instance, rest: str = "") -> str:
    return f"{API}/servers/{server.pk}{rest}"


# --- PUT --------------------------------------------------------------------------------------------------------------


def test_a_server_is_renamed_and_described_and_its_updated_time_moves(ann: Wire, server: Instance) -> None:
    body = {"server": {"name": "new", "description": "d", "hostname": "h", "accessIPv4": "192.0.2.7", "accessIPv6": ""}}
    reply = ann.put(url(server), body, **at("2.90"))
    assert reply.status_code == 200
    row = Instance.objects.get()
    assert (row.display_name, row.description, row.hostname) == ("new", "d", "h")
    assert (row.access_ip_v4, row.access_ip_v6) == ("192.0.2.7", None)
    assert row.updated_at > server.updated_at
    assert row.host == "h1"


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("2.1", {"name": ""}),
        ("2.1", {"description": "d"}),
        ("2.89", {"hostname": "h"}),
        ("2.96", {"hostname": "a b"}),
        ("2.96", {"accessIPv4": "nowhere"}),
        ("2.96", {"status": "ACTIVE"}),
        ("2.96", {"description": "d" * 256}),
    ],
)
def test_a_wrong_change_is_400_and_changes_nothing(
    ann: Wire, server: Instance, version: str, fields: dict[str, Any]
) -> None:
    before = Instance.objects.values().get()
    assert ann.put(url(server), {"server": fields}, **at(version)).status_code == 400
    assert Instance.objects.values().get() == before


def test_a_stranger_and_a_reader_change_nothing(bob: Wire, rita: Wire, server: Instance) -> None:
    body = {"server": {"name": "mine"}}
    assert bob.put(url(server), body).status_code == 404
    assert rita.put(url(server), body).status_code == 403
    assert rita.delete(url(server)).status_code == 403
    assert rita.post(url(server, "/metadata"), {"metadata": {"a": "b"}}).status_code == 403
    assert rita.post(url(server, "/action"), {"lock": None}).status_code == 403
    assert bob.delete(url(server)).status_code == 404
    assert Instance.objects.get().display_name == "web"


# --- metadata ---------------------------------------------------------------------------------------------------------


def test_metadata_is_added_to_replaced_read_and_deleted(ann: Wire, server: Instance) -> None:
    path = url(server, "/metadata")
    assert ann.post(path, {"metadata": {"a": "1", "b": "2"}}).json() == {"metadata": {"a": "1", "b": "2"}}
    assert ann.post(path, {"metadata": {"b": "3"}}).json() == {"metadata": {"a": "1", "b": "3"}}
    assert ann.get(f"{path}/b").json() == {"meta": {"b": "3"}}
    assert ann.put(f"{path}/c", {"meta": {"c": "4"}}).json() == {"meta": {"c": "4"}}
    assert ann.put(path, {"metadata": {"d": "5"}}).json() == {"metadata": {"d": "5"}}
    assert ann.delete(f"{path}/d").status_code == 204
    assert ann.get(path).json() == {"metadata": {}}
    assert ann.delete(f"{path}/d").status_code == 404
    assert ann.get(f"{path}/d").status_code == 404


@pytest.mark.parametrize(
    "body",
    [{}, {"metadata": None}, {"metadata": {"a": 1}}, {"metadata": {"": "x"}}, {"metadata": {"a/b": "x"}}, {"meta": {}}],
)
def test_malformed_metadata_is_400(ann: Wire, server: Instance, body: Any) -> None:
    assert ann.post(url(server, "/metadata"), body).status_code == 400
    assert ann.put(url(server, "/metadata"), body).status_code == 400


def test_a_metadata_item_whose_key_is_not_the_urls_is_400(ann: Wire, server: Instance) -> None:
    assert ann.put(url(server, "/metadata/a"), {"meta": {"b": "1"}}).status_code == 400


def test_more_metadata_than_the_quota_is_403(ann: Wire, ground: Ground, server: Instance) -> None:
    items = {f"k{i}": "v" for i in range(129)}
    assert ann.post(url(server, "/metadata"), {"metadata": items}).status_code == 403
    assert ground.boot(ann, metadata=items).status_code == 403
    assert Instance.objects.get().metadata == {}


# --- tags -------------------------------------------------------------------------------------------------------------


def test_tags_are_added_replaced_read_and_deleted(ann: Wire, server: Instance) -> None:
    path, v = url(server, "/tags"), at("2.26")
    added = ann.put(f"{path}/t1", **v)
    assert (added.status_code, added.content) == (201, b"")
    assert added["Location"].endswith(f"/servers/{server.pk}/tags/t1")
    assert ann.put(f"{path}/t1", **v).status_code == 204
    assert ann.get(f"{path}/t1", **v).status_code == 204
    assert ann.get(f"{path}/t2", **v).status_code == 404
    assert ann.put(path, {"tags": ["b", "a", "a"]}, **v).json() == {"tags": ["a", "b"]}
    assert ann.delete(f"{path}/a", **v).status_code == 204
    assert ann.delete(f"{path}/a", **v).status_code == 404
    assert ann.get(path, **v).json() == {"tags": ["b"]}
    assert ann.delete(path, **v).status_code == 204
    assert ann.get(path, **v).json() == {"tags": []}


def test_tags_are_404_before_2_26_and_bounded(ann: Wire, server: Instance) -> None:
    assert ann.get(url(server, "/tags"), **at("2.25")).status_code == 404
    ann.put(url(server, "/tags"), {"tags": [f"t{i}" for i in range(50)]}, **at("2.26"))
    assert ann.put(url(server, "/tags/one-more"), **at("2.26")).status_code == 400
    assert ann.put(url(server, "/tags/" + "x" * 61), **at("2.26")).status_code == 400
    assert ann.put(url(server, "/tags"), {"tags": ["a,b"]}, **at("2.26")).status_code == 400


# --- locks ------------------------------------------------------------------------------------------------------------


def lock(wire: Wire, server: Instance, verb: str = "lock", value: Any = None, version: str = "2.1") -> int:
    return wire.post(url(server, "/action"), {verb: value}, **at(version)).status_code


def test_a_locked_server_refuses_its_members_with_409_and_obeys_admins(
    ann: Wire, admin: Wire, server: Instance
) -> None:
    assert lock(ann, server, value={"locked_reason": "mine"}, version="2.73") == 202
    shown = ann.get(url(server), **at("2.73")).json()["server"]
    assert (shown["locked"], shown["locked_reason"]) == (True, "mine")
    assert ann.delete(url(server)).status_code == 409
    assert ann.put(url(server), {"server": {"name": "new"}}).status_code == 409
    assert ann.post(url(server, "/metadata"), {"metadata": {"a": "b"}}).status_code == 409
    assert not Action.objects.exists()
    assert admin.put(url(server), {"server": {"name": "new"}}).status_code == 200
    assert lock(ann, server, "unlock") == 202
    assert ann.get(url(server), **at("2.73")).json()["server"]["locked_reason"] is None
    assert ann.delete(url(server)).status_code == 204


def test_a_lock_of_an_admin_is_removed_by_an_admin(ann: Wire, admin: Wire, server: Instance) -> None:
    assert lock(admin, server) == 202
    assert lock(ann, server) == 202
    assert lock(ann, server, "unlock") == 403
    assert lock(admin, server, "unlock") == 202
    assert not Instance.objects.get().is_locked


def test_a_lock_takes_no_reason_before_2_73(ann: Wire, server: Instance) -> None:
    assert lock(ann, server, value={"locked_reason": ""}, version="2.73") == 400
    assert lock(ann, server, value={"locked_reason": "x", "y": 1}, version="2.73") == 400


# --- actions by name --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{"fly": None}, {"os-start": None, "os-stop": None}, {}, [], {"a\x00": 1}])
def test_an_action_that_does_not_exist_is_400(ann: Wire, server: Instance, body: Any) -> None:
    reply = ann.post(url(server, "/action"), body)
    assert reply.status_code == 400
    assert reply.json()["badRequest"]["message"]


def test_the_console_of_a_server_on_no_host_is_409_and_of_a_silent_host_503(ann: Wire, ground: Ground) -> None:
    row = make_instance(project_of(ann), host="")
    assert ann.post(url(row, "/action"), {"os-getConsoleOutput": {"length": 5}}).status_code == 409
    row = make_instance(project_of(ann), host="unknown")
    assert ann.post(url(row, "/action"), {"os-getConsoleOutput": {}}).status_code == 503
    assert ann.post(url(row, "/action"), {"os-getConsoleOutput": {"length": "x"}}).status_code == 400


def test_the_console_is_asked_of_the_host_by_its_last_lines(ann: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(host: str, name: str, arguments: dict[str, Any], timeout: float) -> str:
        asked.append((host, name, arguments["length"]))
        return "login: "

    monkeypatch.setattr("instances.services.console.ask", ask)
    row = make_instance(project_of(ann))
    for length in (None, -1, 5, "7"):
        reply = ann.post(url(row, "/action"), {"os-getConsoleOutput": {"length": length}})
        assert reply.json() == {"output": "login: "}
    assert ann.post(url(row, "/action"), {"os-getConsoleOutput": None}).status_code == 200
    assert [lines for _, _, lines in asked] == [None, None, 5, 7, None]
    assert asked[0][:2] == ("h1", "console_output")


# --- delete -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vm_state", [state for state in VmState if state != VmState.DELETED])
def test_a_delete_starts_in_every_state(ann: Wire, vm_state: VmState) -> None:
    row = make_instance(project_of(ann), vm_state=vm_state)
    reply = ann.delete(url(row))
    assert (reply.status_code, reply.content) == (204, b"")
    action = Action.objects.get()
    assert (action.operation, action.target_id, action.parameters["hosts"]) == ("delete", row.pk, ["h1"])
    assert Instance.objects.get().task_state == TaskState.DELETING


def test_a_delete_asked_for_twice_is_one_action(ann: Wire, server: Instance) -> None:
    assert ann.delete(url(server)).status_code == 204
    assert ann.post(url(server, "/action"), {"forceDelete": None}).status_code == 202
    assert Action.objects.count() == 1


def test_a_delete_ends_the_boot_that_runs_and_covers_its_hosts(ann: Wire, ground: Ground) -> None:
    key = ground.boot(ann).json()["server"]["id"]
    boot = Action.objects.get()
    ActionEvent.objects.create(action=boot, seq=3, name="fetch_image", role="host", host="h7", turn=1)
    assert ann.delete(f"{API}/servers/{key}").status_code == 204
    boot.refresh_from_db()
    delete = Action.objects.get(operation="delete")
    assert (boot.state, boot.superseded_by) == (ActionState.CANCELLED, delete)
    assert delete.parameters["hosts"] == ["h7"]
    assert delete.turn == boot.turn + 1


def test_a_delete_covers_the_host_that_a_boot_reached_after_the_request_was_read(ann: Wire, server: Instance) -> None:
    from cloud.api.policy import Caller
    from instances.services import delete_instance

    caller = Caller(
        user_id=server.user_id,
        user_name="ann",
        user_domain_id="default",
        project_id=server.project_id,
        project_name="blue",
        roles=frozenset({"member"}),
    )
    Instance.objects.filter(pk=server.pk).update(host="")
    stale = Instance.objects.get()
    Instance.objects.filter(pk=server.pk).update(host="h2")
    assert delete_instance(caller=caller, instance=stale).parameters["hosts"] == ["h2"]


def test_a_server_that_is_gone_is_404_and_starts_no_action(ann: Wire, server: Instance) -> None:
    Instance.objects.update(deleted_at=timezone.now(), vm_state=VmState.DELETED)
    assert ann.delete(url(server)).status_code == 404
    assert ann.put(url(server), {"server": {"name": "x"}}).status_code == 404
    assert not Action.objects.exists()
