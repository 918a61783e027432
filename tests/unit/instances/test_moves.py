"""Resize, cold migration, confirm and revert on the wire: bodies, refusals, and the lists of migrations."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cloud.workflow.models import Action, Host, Service
from instances.models import Instance, Migration, MigrationStatus, MigrationType, Quota
from instances.states import TaskState, VmState
from scheduling.models import ComputeNode
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, at, make_flavor, make_image, make_instance, project_of
from tests.unit.scheduling.conftest import make_node

SMALL = {"vcpus": 2, "memory_mib": 512, "disk_gib": 10}


@pytest.fixture
def hosts(db: None) -> None:
    for name in ("h1", "h2"):
        make_node(name)


@pytest.fixture
def server(ann: Wire, hosts: None) -> Instance:
    make_flavor("small")
    make_flavor("large", vcpus=4, memory_mib=1024, disk_gib=20)
    return make_instance(project_of(ann))


def act(wire: Wire, server: Instance, body: dict[str, Any], version: str = "2.96") -> Any:
    return wire.post(f"{API}/servers/{server.pk}/action", body, **at(version))


def resize(flavor: Any = "large", **more: Any) -> dict[str, Any]:
    return {"resize": {"flavorRef": flavor, **more}}


def message(reply: Any) -> str:
    return str(next(iter(reply.json().values()))["message"])


def resized(server: Instance, **fields: Any) -> Migration:
    """The instance as a resize leaves it, waiting."""
    Instance.objects.filter(pk=server.pk).update(vm_state=VmState.RESIZED, host="h2")
    size = {"flavor_id": "large", "vcpus": 4, "memory_mib": 1024}
    wanted: dict[str, Any] = {
        "action_id": uuid.uuid4(),
        "type": MigrationType.RESIZE,
        "status": MigrationStatus.FINISHED,
        "project_id": server.project_id,
        "source_host": "h1",
        "destination_host": "h2",
        "old_flavor_id": "small",
        "new_flavor_id": "large",
        "details": {"old": size, "new": size, "vm_state": "active"},
        **fields,
    }
    return Migration.objects.create(instance=server, **wanted)


# --- what is accepted -------------------------------------------------------------------------------------------------


def test_a_resize_is_accepted_and_begins_with_its_migration(ann: Wire, server: Instance) -> None:
    reply = act(ann, server, resize(**{"OS-DCF:diskConfig": "AUTO"}))
    assert (reply.status_code, reply.content) == (202, b"")
    row, action, migration = Instance.objects.get(), Action.objects.get(), Migration.objects.get()
    assert (row.task_state, row.status, row.flavor_id) == (TaskState.RESIZE_PREP, "RESIZE", "small")
    assert (action.operation, action.parameters) == ("resize", {"migration": str(migration.uuid)})
    assert (migration.action_id, migration.type, migration.status) == (action.pk, "resize", "accepted")
    assert (migration.source_host, migration.old_flavor_id, migration.new_flavor_id) == ("h1", "small", "large")
    assert migration.details["new"]["disk_config"] == "AUTO"
    assert migration.details["old"] | SMALL == migration.details["old"]
    shown = ann.get(f"{API}/servers/{server.pk}", **at("2.96")).json()["server"]
    assert (shown["status"], shown["progress"]) == ("RESIZE", 0)


@pytest.mark.parametrize(
    ("version", "body", "host"),
    [
        ("2.1", {"migrate": None}, None),
        ("2.55", {"migrate": {"host": "h2"}}, None),
        ("2.56", {"migrate": None}, None),
        ("2.56", {"migrate": {"host": None}}, None),
        ("2.56", {"migrate": {"host": "h2"}}, "h2"),
    ],
)
def test_an_admin_migrates_to_a_named_host_or_to_any(
    admin: Wire, server: Instance, version: str, body: dict[str, Any], host: str | None
) -> None:
    reply = act(admin, server, body, version)
    assert (reply.status_code, reply.content) == (202, b"")
    migration = Migration.objects.get()
    assert (migration.type, migration.details["host"]) == ("migration", host)
    assert migration.details["old"] == migration.details["new"]


@pytest.mark.parametrize(
    ("verb", "code", "status", "task_state"),
    [
        ("confirmResize", 204, "confirming", TaskState.RESIZE_CONFIRMING),
        ("revertResize", 202, "reverting", TaskState.RESIZE_REVERTING),
    ],
)
def test_what_waits_is_confirmed_or_reverted(
    ann: Wire, server: Instance, verb: str, code: int, status: str, task_state: str
) -> None:
    resized(server)
    reply = act(ann, server, {verb: None})
    assert (reply.status_code, reply.content) == (code, b"")
    assert Instance.objects.get().task_state == task_state
    assert Migration.objects.get().status == status
    assert act(ann, server, {verb: None}).status_code == 409


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (resize("nothing"), "could not be found"),
        (resize("small"), "When resizing, instances must change flavor!"),
        (resize("thin"), "a disk does not shrink"),
        (resize("diskless"), "a disk does not shrink"),
        (resize("old"), "is disabled"),
        (resize("secret"), "could not be found"),
        (resize("forgetful"), "memory is too small"),
        ({"resize": {}}, "flavorRef"),
        ({"resize": None}, "resize"),
        (resize(flavor=["large"]), "flavorRef"),
        (resize(**{"OS-DCF:diskConfig": "SOME"}), "diskConfig"),
        (resize(host="h2"), "host"),
    ],
)
def test_a_wrong_resize_is_400_and_changes_nothing(
    ann: Wire, server: Instance, body: dict[str, Any], said: str
) -> None:
    make_flavor("thin", vcpus=4, memory_mib=1024, disk_gib=9)
    make_flavor("diskless", disk_gib=0)
    make_flavor("old", disk_gib=20, is_disabled=True)
    make_flavor("secret", disk_gib=20, is_public=False)
    make_flavor("forgetful", disk_gib=20, memory_mib=64)
    Instance.objects.update(image_id=str(make_image(min_ram=256).pk))
    before = Instance.objects.values().get()
    reply = act(ann, server, body)
    assert reply.status_code == 400
    assert said in message(reply)
    assert Instance.objects.values().get() == before
    assert not Action.objects.exists()
    assert not Migration.objects.exists()


def test_a_smaller_memory_is_allowed_where_the_disk_is_not_smaller(ann: Wire, server: Instance) -> None:
    make_flavor("narrow", vcpus=1, memory_mib=64, disk_gib=10)
    assert act(ann, server, resize("narrow")).status_code == 202


def test_quota_is_needed_for_the_difference_alone_and_counts_what_is_under_way(ann: Wire, server: Instance) -> None:
    second = make_instance(server.project_id, "second")
    Quota.objects.create(project_id=server.project_id, resource="cores", limit=6)
    assert act(ann, server, resize()).status_code == 202
    reply = act(ann, second, resize())
    assert reply.status_code == 403
    assert message(reply) == "Quota exceeded for cores: Requested 2, but already used 6 of 6 cores"
    assert Migration.objects.count() == Action.objects.count() == 1
    Migration.objects.update(status=MigrationStatus.ERROR)
    assert act(ann, second, resize()).status_code == 202


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("h9", "Compute host h9 could not be found."),
        ("h1", "Cannot migrate to the host where the server exists"),
        ("h2", "is disabled: repair"),
        ("h3", "is down"),
        ("h4", "RAM"),
    ],
)
def test_a_host_that_cannot_take_it_is_refused_with_the_reason(
    admin: Wire, server: Instance, host: str, said: str
) -> None:
    Service.objects.filter(host="h2").update(is_disabled=True, disabled_reason="repair")
    make_node("h3")
    Host.objects.filter(name="h3").update(is_up=False)
    make_node("h4")
    ComputeNode.objects.filter(host="h4").update(used_memory_mib=10**6)
    before = Instance.objects.values().get()
    reply = act(admin, server, {"migrate": {"host": host}})
    assert reply.status_code == 400
    assert said in message(reply)
    assert Instance.objects.values().get() == before
    assert not Migration.objects.exists()


@pytest.mark.parametrize("body", [{"migrate": {"host": ""}}, {"migrate": {"node": "h2"}}, {"migrate": "h2"}])
def test_a_wrong_migrate_is_400(admin: Wire, server: Instance, body: dict[str, Any]) -> None:
    assert act(admin, server, body).status_code == 400


def test_what_the_host_cannot_give_up_or_take_back_is_409_while_it_is_down(
    ann: Wire, admin: Wire, server: Instance
) -> None:
    Host.objects.filter(name="h1").update(is_up=False)
    for wire, body in ((ann, resize()), (admin, {"migrate": None})):
        reply = act(wire, server, body)
        assert reply.status_code == 409
        assert "Host h1 is down" in message(reply)
    resized(server)
    assert act(ann, server, {"revertResize": None}).status_code == 409
    assert Migration.objects.get().status == MigrationStatus.FINISHED


@pytest.mark.parametrize(
    ("verb", "wrong"),
    [
        ("resize", VmState.PAUSED),
        ("resize", VmState.RESIZED),
        ("migrate", VmState.ERROR),
        ("confirmResize", VmState.ACTIVE),
        ("revertResize", VmState.ACTIVE),
    ],
)
def test_from_another_state_it_is_409_which_names_it(admin: Wire, server: Instance, verb: str, wrong: str) -> None:
    Instance.objects.update(vm_state=wrong)
    reply = act(admin, server, resize() if verb == "resize" else {verb: None})
    assert reply.status_code == 409
    assert f"vm_state {wrong}" in message(reply)


def test_a_waiting_instance_without_its_migration_says_so(ann: Wire, server: Instance) -> None:
    resized(server, status=MigrationStatus.ERROR)
    reply = act(ann, server, {"confirmResize": None})
    assert (reply.status_code, message(reply)) == (400, "Instance has not been resized.")


def test_locks_roles_and_projects_are_heeded(ann: Wire, bob: Wire, rita: Wire, server: Instance) -> None:
    assert act(bob, server, resize()).status_code == 404
    assert act(rita, server, resize()).status_code == 403
    assert act(ann, server, {"migrate": None}).status_code == 403
    Instance.objects.update(is_locked=True, locked_by="owner")
    assert act(ann, server, resize()).status_code == 409
    resized(server)
    assert act(ann, server, {"confirmResize": None}).status_code == 409
    assert not Action.objects.exists()


# --- lists ------------------------------------------------------------------------------------------------------------

V1 = {
    *("id", "source_node", "source_compute", "dest_node", "dest_compute", "dest_host", "status", "instance_uuid"),
    *("old_instance_type_id", "new_instance_type_id", "created_at", "updated_at"),
}


@pytest.mark.parametrize(
    ("version", "more"),
    [
        ("2.1", set()),
        ("2.23", {"migration_type"}),
        ("2.59", {"migration_type", "uuid"}),
        ("2.80", {"migration_type", "uuid", "user_id", "project_id"}),
    ],
)
def test_a_migration_has_the_keys_of_its_version(admin: Wire, server: Instance, version: str, more: set[str]) -> None:
    row = resized(server)
    (shown,) = admin.get(f"{API}/os-migrations", **at(version)).json()["migrations"]
    assert set(shown) == V1 | more
    assert (shown["source_compute"], shown["dest_compute"], shown["status"]) == ("h1", "h2", "finished")
    assert shown["instance_uuid"] == str(server.pk)
    assert isinstance(shown["old_instance_type_id"], int)
    assert shown["old_instance_type_id"] != shown["new_instance_type_id"]
    assert shown["id"] == row.pk


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("host=h2", 2),
        ("host=h3", 1),
        ("status=finished", 1),
        ("source_compute=h1", 2),
        ("migration_type=migration", 1),
        ("instance_uuid={server}", 2),
        ("instance_uuid=nothing", 0),
        ("user_id=nobody", 0),
        ("project_id={project}", 2),
        ("changes-since=2020-01-01T00:00:00Z", 2),
        ("changes-since=2040-01-01T00:00:00Z", 0),
        ("changes-before=2020-01-01T00:00:00Z", 0),
        ("hidden=false", 2),
    ],
)
def test_the_list_is_narrowed(admin: Wire, server: Instance, query: str, count: int) -> None:
    resized(server)
    resized(server, type=MigrationType.MIGRATION, status="confirmed", destination_host="h3")
    if query == "host=h2":
        resized(server, type="live-migration", status="completed", source_host="h2", destination_host="h4")
    text = query.format(server=server.pk, project=server.project_id)
    assert len(admin.get(f"{API}/os-migrations?{text}", **at("2.96")).json()["migrations"]) == count


def test_pages_follow_one_another_and_end(admin: Wire, server: Instance) -> None:
    now = timezone.now()
    rows = [resized(server, created_at=now - timedelta(seconds=back)) for back in range(3)]
    seen, url = [], f"{API}/os-migrations?limit=2"
    while url:
        reply = admin.get(url, **at("2.59")).json()
        seen += [shown["uuid"] for shown in reply["migrations"]]
        url = next((link["href"] for link in reply.get("migrations_links", ())), "")
    assert seen == [str(row.uuid) for row in rows]


@pytest.mark.parametrize("query", ["limit=x", "marker=nothing", "marker=" + str(uuid.uuid4()), "x=1", "user_id=u"])
def test_a_wrong_query_is_400(admin: Wire, server: Instance, query: str) -> None:
    assert admin.get(f"{API}/os-migrations?{query}", **at("2.66")).status_code == 400


def test_only_admins_list_migrations(ann: Wire, server: Instance) -> None:
    assert ann.get(f"{API}/os-migrations", **at("2.80")).status_code == 403


def test_only_a_live_migration_under_way_has_a_link(admin: Wire, server: Instance) -> None:
    over = resized(server)
    live = resized(server, type=MigrationType.LIVE, status=MigrationStatus.MIGRATING)
    listed = {row["id"]: row for row in admin.get(f"{API}/os-migrations", **at("2.23")).json()["migrations"]}
    assert listed[live.pk]["links"][0]["href"].endswith(f"/servers/{server.pk}/migrations/{live.pk}")
    assert "links" not in listed[over.pk]
