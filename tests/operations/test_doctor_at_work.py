"""The doctor: a cloud at work has nothing wrong, and what it cannot know, or may not touch, it leaves."""

from __future__ import annotations

import contextlib
import io
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command

from cloud.errors import CloudError
from cloud.workflow.models import Action
from cloud.workflow.states import ActionState
from hypervisor.queries import QUERIES
from instances import services
from instances.doctor.examination import examine
from instances.doctor.repair import repair, repair_all
from instances.models import Instance, Migration, MigrationStatus, MigrationType
from instances.states import VmState
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.doctoring import (
    STRANGER,
    codes,
    copy_domain,
    doctor,
    driver,
    other_host,
    wrong,
)
from tests.operations.scenarios import SCENARIOS, World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:
    world = World(box)
    world.booted()
    return world


def test_nothing_is_wrong_with_a_healthy_cloud(world: World) -> None:
    status, report = doctor(world.box)
    assert (status, report["findings"]) == (0, [])
    assert report["hosts"] == [{"name": "h1", "state": "answered"}, {"name": "h2", "state": "answered"}]
    assert report["checked_at"].startswith("20")


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_nothing_is_wrong_at_any_moment_of_an_operation(box: CloudInABox, name: str) -> None:
    """Between any two messages of it the doctor looks at everything, and finds nothing."""
    world = World(box)
    SCENARIOS[name](world)
    while True:
        with box.answering():
            assert wrong(box, examine()) == []
        if box.step() is None:
            break
    world.box.recover()
    with box.answering():
        assert wrong(box, examine()) == []


def test_nothing_is_wrong_while_many_operations_are_under_way(box: CloudInABox) -> None:
    """Boots, stops, moves and deletes, delivered by another thread, and the doctor again and again meanwhile."""
    world = World(box)
    instances = [world.tenant.boot() for _ in range(6)]
    looks = 0
    with box.working():
        for round_ in range(4):
            for number, instance in enumerate(instances):
                row = Instance.objects.get(pk=instance.pk)
                with contextlib.suppress(CloudError):
                    LOAD[(round_ + number) % len(LOAD)](caller=world.admin, instance=row)
                assert wrong(box, examine()) == []
                looks += 1
    box.recover()
    assert looks == 24
    assert Action.objects.filter(state=ActionState.SUCCEEDED).count() > 10
    assert doctor(box)[1]["findings"] == []


def test_repairs_beside_operations_touch_only_what_is_damaged(world: World) -> None:
    """A domain that nobody knows appears again and again, while verbs go on."""
    instances = [world.instance(), *(world.tenant.boot() for _ in range(3))]
    for round_ in range(4):
        stranger = str(uuid.uuid4())
        copy_domain(world, stranger)
        with world.box.working():
            for instance in instances:
                with contextlib.suppress(CloudError):
                    row = Instance.objects.get(pk=instance.pk)
                    LOAD[round_ % 4](caller=world.admin, instance=row)
            examination, repairs = repair_all()
        assert [finding.code.name for finding in examination.findings] == ["guest.orphan"]
        assert repairs.fixed == {finding.key for finding in examination.findings}
    world.box.recover()
    assert not Action.objects.filter(state=ActionState.STUCK).exists()
    for instance in instances:
        instance.refresh_from_db()
        assert instance.vm_state in (VmState.ACTIVE, VmState.STOPPED), instance.vm_state
    assert doctor(world.box)[1]["findings"] == []


LOAD: tuple[Callable[..., Any], ...] = (
    services.stop_instance,
    services.live_migrate_instance,
    services.start_instance,
    services.hard_reboot_instance,
    services.delete_instance,
)


def test_of_a_host_that_is_down_nothing_is_concluded(world: World) -> None:
    host = world.instance().host
    world.box.power_off(host)
    status, report = doctor(world.box)
    assert (status, codes(report)) == (1, ["host.down"])
    assert {"name": host, "state": "down"} in report["hosts"]


def test_a_host_that_does_not_answer_is_a_finding_after_its_seconds(world: World) -> None:
    examination = examine(patience=0.2)  # nobody delivers
    assert [finding.code.name for finding in examination.findings] == ["host.silent", "host.silent"]


def test_a_host_that_begins_anew_is_not_concluded_of(world: World) -> None:
    host = world.instance().host
    world.box.start_worker(host)  # it waits for the answer to its hello
    with world.box.answering():
        examination = examine()
    assert [(f.code.name, f.objects) for f in examination.findings] == [("host.unready", {"host": host})]


def test_a_host_that_cannot_say_is_a_finding(world: World) -> None:
    driver(world).faults.plan("holdings.domains", error="HypervisorFailed", message="libvirtd is away")
    with world.box.answering():
        examination = examine()
    assert [finding.code.name for finding in examination.findings] == ["host.refused"]


def test_what_changed_since_it_was_found_is_not_repaired(world: World) -> None:
    """Between the look and the repair somebody begins a verb."""
    Instance.objects.filter(pk=world.instance_id).update(task_state="powering-off")
    copy_domain(world, STRANGER)
    with world.box.answering():
        examination = examine()
    Instance.objects.filter(pk=world.instance_id).update(task_state=None)
    world.begin(services.stop_instance)
    with world.box.working():
        repairs = repair(examination)
    by_code = {finding.code.name: finding for finding in examination.findings}
    assert repairs.fixed == {by_code["guest.orphan"].key}
    assert "run the doctor again" in repairs.left[by_code["instance.stuck"].key]
    world.box.recover()
    assert world.instance().vm_state == VmState.STOPPED


def test_a_repair_that_takes_too_long_is_said_to_be_left(world: World) -> None:
    copy_domain(world, STRANGER)
    with world.box.answering():
        examination = examine()
        repairs = repair(examination, patience=0.0)  # nobody delivers the action
    assert "still at work" in repairs.left[examination.findings[0].key]
    world.box.recover()
    assert doctor(world.box)[1]["findings"] == []


def test_an_instance_of_an_error_is_not_asked_for_a_guest(world: World) -> None:
    services.reset_state(caller=world.admin, instance=world.instance(), vm_state=VmState.ERROR)
    driver(world).lifecycle.remove(str(world.instance_id), None)
    assert doctor(world.box)[1]["findings"] == []


def test_a_domain_that_nobody_signed_is_left_to_a_person(world: World) -> None:
    copy_domain(world, STRANGER, action="")
    status, report = doctor(world.box, "--fix")
    assert (status, codes(report)) == (1, ["guest.unsigned"])
    assert driver(world).lifecycle.state(STRANGER) is not None


def test_a_guest_whose_host_forgot_its_port_is_told_to_a_person_and_heals_by_a_hard_reboot(world: World) -> None:
    guest = driver(world).interfaces.plugged(str(world.instance_id))
    driver(world).interfaces.unplug(str(world.instance_id), guest, None)
    status, report = doctor(world.box, "--fix")
    assert (status, codes(report)) == (1, ["dhcp.missing"])
    world.begin(services.hard_reboot_instance)
    world.box.recover()
    assert doctor(world.box)[1]["findings"] == []


def test_a_migration_that_nobody_carries_on_is_told_to_a_person(world: World) -> None:
    Migration.objects.create(
        instance=world.instance(),
        action_id=uuid.uuid4(),
        type=MigrationType.LIVE,
        status=MigrationStatus.MIGRATING,
        source_host=world.instance().host,
        destination_host=other_host(world),
        project_id=world.tenant.project_id,
    )
    status, report = doctor(world.box, "--fix")
    assert (status, codes(report)) == (1, ["migration.unfinished"])


def test_an_action_that_is_stuck_is_a_finding_until_another_ends_it(world: World) -> None:
    Action.objects.filter(target_id=world.instance_id).update(
        state=ActionState.STUCK, fault={"message": "nobody answered"}
    )
    status, report = doctor(world.box, "--fix")
    assert (status, codes(report)) == (1, ["action.stuck"])
    assert "nobody answered" in report["findings"][0]["danger"]
    world.delete()
    world.box.recover()
    assert doctor(world.box)[1]["findings"] == []


def test_the_report_can_be_read_by_a_person(world: World) -> None:
    copy_domain(world, STRANGER)
    out, err = io.StringIO(), io.StringIO()
    with world.box.working(), pytest.raises(SystemExit) as ended:
        call_command("doctor", stdout=out, stderr=err)
    assert ended.value.code == 1
    assert f"guest.orphan  host={world.instance().host} domain=instance-{STRANGER}" in out.getvalue()
    assert "With --fix: The domain is ended and undefined." in out.getvalue()
    assert "1 found, 0 repaired, 1 left; 2 of 2 hosts looked at." in out.getvalue()
    assert "doctor: host h1: asking" in err.getvalue()


@pytest.mark.parametrize("answer", [None, [], "text", {}, {"domains": [{"instance_id": "../etc"}]}, {"networks": 1}])
def test_an_answer_that_cannot_be_read_is_a_finding(world: World, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    monkeypatch.setitem(QUERIES, "inspect", lambda executor, arguments: answer)
    with world.box.answering():
        examination = examine()
    assert [finding.code.name for finding in examination.findings] == ["host.refused"] * 2
