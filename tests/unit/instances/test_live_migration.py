"""`os-migrateLive` and what is done to migrations on their way, on the wire; no host is asked anything."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import override_settings

from cloud.workflow.models import Action, ActionEvent, Service
from instances.models import Instance, LockedBy, Migration, MigrationStatus
from instances.states import PowerState, TaskState, VmState
from scheduling import claims
from scheduling.models import ComputeNode
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, at, make_instance, project_of
from tests.unit.scheduling.conftest import make_node, spec

pytestmark = pytest.mark.django_db


@pytest.fixture
def hosts(cloud: None) -> None:
    """h1 and h2 share their storage, h3 has its own."""
    make_node("h1", storage_id="shared")
    make_node("h2", storage_id="shared")
    make_node("h3", storage_id="own")


@pytest.fixture
def server(admin: Wire, hosts: None) -> Instance:
    return make_instance(project_of(admin))


def migrate(wire: Wire, server: Instance, version: str = "2.96", **fields: Any) -> Any:
    body = {"host": None, "block_migration": "auto", **fields}
    return wire.post(f"{API}/servers/{server.pk}/action", {"os-migrateLive": body}, **at(version))


def message(reply: Any) -> str:
    (error,) = reply.json().values()
    return str(error["message"])


def nothing_changed(server: Instance) -> None:
    server.refresh_from_db()
    assert (server.task_state, server.host) == (None, "h1")
    assert not Action.objects.exists()
    assert not Migration.objects.exists()


# --- accepted ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("2.1", {"block_migration": False, "disk_over_commit": False}),
        ("2.1", {"host": "h3", "block_migration": "true", "disk_over_commit": True}),
        ("2.25", {"host": "h2"}),
        ("2.30", {"host": "h3", "force": True}),
        ("2.30", {}),
        ("2.96", {"host": "h2", "block_migration": False}),
        ("2.96", {"host": "h3", "block_migration": True}),
    ],
)
def test_a_migration_that_can_be_is_accepted(
    admin: Wire, server: Instance, version: str, fields: dict[str, Any]
) -> None:
    reply = migrate(admin, server, version, **fields)
    assert (reply.status_code, reply.content) == (202, b"")
    server.refresh_from_db()
    assert server.task_state == TaskState.MIGRATING
    row = Migration.objects.get()
    assert (row.status, row.type, row.source_host) == (MigrationStatus.QUEUED, "live-migration", "h1")
    assert row.action_id == Action.objects.get(operation="live_migration").pk
    shown = admin.get(f"{API}/servers/{server.pk}", **at("2.96")).json()["server"]
    assert shown["status"] == "MIGRATING"


def test_the_settings_of_the_moment_go_with_it(admin: Wire, server: Instance) -> None:
    chosen = {
        "LIVE_MIGRATION_COMPLETION_TIMEOUT": 10,
        "LIVE_MIGRATION_TIMEOUT_ACTION": "force_complete",
        "LIVE_MIGRATION_PERMIT_POST_COPY": True,
        "LIVE_MIGRATION_PERMIT_AUTO_CONVERGE": False,
        "LIVE_MIGRATION_DOWNTIME": 100,
        "LIVE_MIGRATION_BANDWIDTH": 50,
    }
    with override_settings(**chosen):
        migrate(admin, server, host="h2")
    options = Action.objects.get().parameters["options"]
    assert options == {
        "timeout_seconds": 20,  # two GiB at least; the disk stays
        "on_timeout": "force_complete",
        "may_post_copy": True,
        "may_auto_converge": False,
        "downtime_ms": 100,
        "bandwidth_mib": 50,
    }


def test_a_disk_that_is_copied_has_its_time_too(admin: Wire, server: Instance) -> None:
    with override_settings(LIVE_MIGRATION_COMPLETION_TIMEOUT=10):
        migrate(admin, server, host="h3")
    assert Action.objects.get().parameters["options"]["timeout_seconds"] == 20 + 10 * server.disk_gib


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("2.1", {"block_migration": "auto", "disk_over_commit": False}),
        ("2.1", {"block_migration": False}),
        ("2.25", {"disk_over_commit": False}),
        ("2.25", {"force": True}),
        ("2.30", {"force": True}),  # no host
        ("2.30", {"host": "h2", "force": "perhaps"}),
        ("2.68", {"host": "h2", "force": True}),
        ("2.96", {"host": ""}),
        ("2.96", {"host": 5}),
        ("2.96", {"host": "h\x002"}),
        ("2.96", {"block_migration": None}),
    ],
)
def test_a_body_that_is_wrong_is_400_and_changes_nothing(
    admin: Wire, server: Instance, version: str, fields: dict[str, Any]
) -> None:
    assert migrate(admin, server, version, **fields).status_code == 400
    nothing_changed(server)


def _disable(host: str) -> None:
    Service.objects.filter(host=host).update(is_disabled=True, disabled_reason="repairs")
    ComputeNode.objects.filter(host=host).update(is_schedulable=False)


def _down(host: str) -> None:
    Service.objects.filter(host=host).update(last_seen_at=None)
    service = Service.objects.get(host=host)
    service.compute_host.is_up = False
    service.compute_host.save()


def _fill(host: str) -> None:
    claims.claim(spec(memory_mib=8000, disk_gib=1), [host], action_id=uuid4())


def _older(host: str) -> None:
    ComputeNode.objects.filter(host="h1").update(hypervisor_version=8000000)
    ComputeNode.objects.filter(host=host).update(hypervisor_version=7002000)


def _other_cpu(host: str) -> None:
    cpu = {"vendor": "AMD", "model": "EPYC", "features": ["a"]}
    ComputeNode.objects.update(hypervisor_type="KVM", cpu_info={**cpu, "features": ["a", "avx512"]})
    ComputeNode.objects.filter(host=host).update(cpu_info=cpu)


def _other_vendor(host: str) -> None:
    ComputeNode.objects.update(hypervisor_type="KVM", cpu_info={"vendor": "Intel"})
    ComputeNode.objects.filter(host=host).update(cpu_info={"vendor": "AMD"})


REFUSALS = [
    ({"host": "h9"}, None, "h9 could not be found"),
    ({"host": "h1"}, None, "The instance is on this host."),
    ({"host": "h2", "block_migration": True}, None, "shared storage with the source"),
    ({"host": "h3", "block_migration": False}, None, "no shared storage with the source"),
    ({"host": "h2"}, _disable, "disabled: repairs"),
    ({"host": "h2"}, _down, "is down"),
    ({"host": "h2"}, _fill, "512 MiB of RAM are needed, 192 are free"),
    ({"host": "h2"}, _older, "7002000 is older than the source's 8000000"),
    ({"host": "h2"}, _other_cpu, "lacks features of the source's: avx512"),
    ({"host": "h2"}, _other_vendor, "Its CPU is from AMD, the source's from Intel"),
]


@pytest.mark.parametrize(("fields", "spoil", "reason"), REFUSALS, ids=[reason for *_, reason in REFUSALS])
def test_a_named_host_that_cannot_take_it_is_refused_with_the_reason(
    admin: Wire, server: Instance, fields: dict[str, Any], spoil: Any, reason: str
) -> None:
    if spoil is not None:
        spoil(fields["host"])
    reply = migrate(admin, server, **fields)
    assert (reply.status_code, reason in message(reply)) == (400, True), message(reply)
    nothing_changed(server)


def test_force_takes_a_disabled_host_and_no_other_that_refuses(admin: Wire, server: Instance) -> None:
    _disable("h2")
    _fill("h3")
    assert migrate(admin, server, "2.30", host="h3", force=True).status_code == 400
    nothing_changed(server)
    assert migrate(admin, server, "2.30", host="h2", force=True).status_code == 202


def test_when_no_host_can_take_it_every_one_says_why(admin: Wire, server: Instance) -> None:
    _fill("h2")
    reply = migrate(admin, server, block_migration=False)
    assert reply.status_code == 400
    said = message(reply)
    assert "retry refused 2" in said
    assert "ram refused 1 (for example h2: 512 MiB of RAM are needed" in said
    nothing_changed(server)


def test_a_source_that_is_down_is_for_evacuation(admin: Wire, server: Instance) -> None:
    _down("h1")
    reply = migrate(admin, server, host="h2")
    assert (reply.status_code, "evacuated" in message(reply)) == (400, True)
    nothing_changed(server)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"vm_state": VmState.STOPPED, "power_state": PowerState.SHUTDOWN}, "vm_state stopped"),
        ({"task_state": TaskState.REBOOTING}, "task_state rebooting"),
        ({"power_state": PowerState.SHUTDOWN}, "power_state shutdown"),
    ],
)
def test_in_the_wrong_state_it_is_409_and_the_state_is_named(
    admin: Wire, hosts: None, fields: dict[str, Any], state: str
) -> None:
    server = make_instance(project_of(admin), **fields)
    reply = migrate(admin, server, host="h2")
    assert (reply.status_code, state in message(reply)) == (409, True)
    assert not Action.objects.exists()


def test_it_is_for_admins_and_a_stranger_does_not_find_the_server(ann: Wire, bob: Wire, hosts: None) -> None:
    server = make_instance(project_of(ann), is_locked=True, locked_by=LockedBy.OWNER)
    assert migrate(ann, server, host="h2").status_code == 403
    assert migrate(bob, server, host="h2").status_code == 404
    nothing_changed(server)


def test_an_admin_may_migrate_a_locked_server(admin: Wire, hosts: None) -> None:
    server = make_instance(project_of(admin), is_locked=True, locked_by=LockedBy.OWNER)
    assert migrate(admin, server, host="h2").status_code == 202


def test_a_second_migration_is_409_while_one_is_on_its_way(admin: Wire, server: Instance) -> None:
    assert migrate(admin, server, host="h2").status_code == 202
    assert migrate(admin, server, host="h2").status_code == 409
    assert Migration.objects.count() == 1


# --- on its way -------------------------------------------------------------------------------------------------------


@pytest.fixture
def migration(admin: Wire, server: Instance) -> Migration:
    """One whose guest goes."""
    assert migrate(admin, server, host="h2").status_code == 202
    Migration.objects.update(status=MigrationStatus.RUNNING)
    return Migration.objects.get()


def path(migration: Migration, rest: str = "") -> str:
    return f"{API}/servers/{migration.instance_id}/migrations/{migration.pk}{rest}"


def test_it_is_shown_with_what_its_host_counts(admin: Wire, migration: Migration) -> None:
    counters = {"memory_total_bytes": 100, "memory_processed_bytes": 70, "memory_remaining_bytes": 30}
    ActionEvent.objects.create(
        action=Action.objects.get(operation="live_migration"),
        seq=10,
        name="migrate_guest",
        turn=3,
        host="h1",
        progress={"percent": 70, "message": "migrating", "details": counters},
    )
    shown = admin.get(path(migration), **at("2.96")).json()["migration"]
    assert shown.items() >= {**counters, "disk_total_bytes": 0, "status": "running"}.items()
    assert (shown["source_compute"], shown["dest_compute"]) == ("h1", "h2")
    assert (shown["source_node"], shown["dest_node"]) == ("h1.example", "h2.example")
    assert (shown["uuid"], shown["user_id"]) == (str(migration.uuid), migration.user_id)
    oldest = admin.get(path(migration), **at("2.23")).json()["migration"]
    assert set(shown) - set(oldest) == {"uuid", "user_id", "project_id"}
    listed = admin.get(f"{API}/servers/{migration.instance_id}/migrations", **at("2.96")).json()
    assert listed == {"migrations": [shown]}


def test_one_that_is_over_or_not_there_is_404(admin: Wire, migration: Migration) -> None:
    other = make_instance(project_of(admin))
    assert admin.get(f"{API}/servers/{other.pk}/migrations/{migration.pk}", **at("2.96")).status_code == 404
    for number in ("0", "-1", "x", "9" * 30, "٣", "1e3"):
        url = f"{API}/servers/{migration.instance_id}/migrations/{number}"
        assert admin.get(url, **at("2.96")).status_code == 404
        assert admin.delete(url, **at("2.96")).status_code == 404
        assert admin.post(f"{url}/action", {"force_complete": None}, **at("2.96")).status_code == 404
    Migration.objects.update(status=MigrationStatus.COMPLETED)
    assert admin.get(path(migration), **at("2.96")).status_code == 404
    assert admin.delete(path(migration), **at("2.96")).status_code == 404


@pytest.mark.parametrize(
    ("method", "rest", "first"), [("GET", "", "2.23"), ("DELETE", "", "2.24"), ("POST", "/action", "2.22")]
)
def test_each_is_served_from_its_version_on_and_for_admins(
    admin: Wire, ann: Wire, migration: Migration, method: str, rest: str, first: str
) -> None:
    body = {"force_complete": None} if method == "POST" else None
    before = f"2.{int(first.partition('.')[2]) - 1}"
    assert admin.request(method, path(migration, rest), body, **at(before)).status_code == 404
    assert ann.request(method, path(migration, rest), body, **at("2.96")).status_code == 403
    assert admin.request(method, path(migration, rest), body, **at(first)).status_code in (200, 202)


def test_an_abort_cancels_the_action_and_tells_the_source(admin: Wire, migration: Migration) -> None:
    reply = admin.delete(path(migration), **at("2.24"))
    assert (reply.status_code, reply.content) == (202, b"")
    going = Action.objects.get(operation="live_migration")
    assert going.cancel_requested
    abort = Action.objects.get(operation="live_migration_abort")
    assert (abort.parent_id, abort.target_type, abort.target_id) == (going.pk, "migration", migration.uuid)
    assert abort.parameters["source"] == "h1"
    assert admin.delete(path(migration), **at("2.24")).status_code == 409


def test_an_abort_before_the_guest_goes_is_from_2_65_on(admin: Wire, migration: Migration) -> None:
    for status in (MigrationStatus.QUEUED, MigrationStatus.PREPARING):
        Migration.objects.update(status=status)
        assert admin.delete(path(migration), **at("2.64")).status_code == 400
    assert not Action.objects.get(operation="live_migration").cancel_requested
    assert admin.delete(path(migration), **at("2.65")).status_code == 202


def test_what_has_passed_the_switch_is_neither_aborted_nor_forced(admin: Wire, migration: Migration) -> None:
    Migration.objects.update(status=MigrationStatus.POST_MIGRATING)
    assert admin.delete(path(migration), **at("2.96")).status_code == 400
    assert admin.post(path(migration, "/action"), {"force_complete": None}, **at("2.96")).status_code == 400
    assert not Action.objects.get(operation="live_migration").cancel_requested


@pytest.mark.parametrize("body", [{}, {"force_complete": {}}, {"force_complete": None, "more": 1}, {"abort": None}, []])
def test_a_wrong_body_forces_nothing(admin: Wire, migration: Migration, body: Any) -> None:
    assert admin.post(path(migration, "/action"), body, **at("2.96")).status_code == 400
    assert Action.objects.count() == 1


def test_force_complete_tells_the_source(admin: Wire, migration: Migration) -> None:
    reply = admin.post(path(migration, "/action"), {"force_complete": None}, **at("2.22"))
    assert (reply.status_code, reply.content) == (202, b"")
    assert Action.objects.get(operation="live_migration_force_complete").target_id == migration.uuid
    assert not Action.objects.get(operation="live_migration").cancel_requested
