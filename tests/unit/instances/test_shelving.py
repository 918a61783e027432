"""shelve, shelveOffload and unshelve on the wire: bodies by microversion, states, who may name a host."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.images.models import Image
from cloud.workflow.models import Action
from instances.models import Instance
from instances.states import TaskState, VmState
from scheduling.models import ComputeNode
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, at, make_image, make_instance, project_of


@pytest.fixture
def server(ann: Wire) -> Instance:
    for host, zone in (("h1", "nova"), ("h2", "east")):
        ComputeNode.objects.create(host=host, hypervisor_hostname=host, zone=zone)
    return make_instance(project_of(ann), name="n" * 255)


@pytest.fixture
def offloaded(server: Instance) -> Instance:
    image = make_image("web-shelved")
    Instance.objects.update(vm_state=VmState.SHELVED_OFFLOADED, host="", shelved_image_id=str(image.pk))
    return server


def act(wire: Wire, server: Instance, version: str = "2.96", **body: Any) -> Any:
    return wire.post(f"{API}/servers/{server.pk}/action", body, **at(version))


def destination() -> Any:
    return Action.objects.get().parameters["destination"]


def test_a_shelve_queues_an_image_whose_name_fits(ann: Wire, server: Instance) -> None:
    assert act(ann, server, shelve=None).status_code == 202
    image = Image.objects.get(properties__instance_uuid=str(server.pk))
    assert image.name == "n" * 247 + "-shelved"
    assert image.properties["image_type"] == "snapshot"
    assert Instance.objects.get().task_state == TaskState.SHELVING
    assert Action.objects.get().parameters == {"image_id": str(image.pk)}


def test_only_an_admin_takes_a_shelved_server_off_its_host(ann: Wire, admin: Wire, server: Instance) -> None:
    assert act(admin, server, shelveOffload=None).status_code == 409
    Instance.objects.update(vm_state=VmState.SHELVED)
    assert act(ann, server, shelveOffload=None).status_code == 403
    for _ in range(2):  # settings may have had it begun a moment ago
        assert act(admin, server, shelveOffload=None).status_code == 202
        assert Action.objects.get().operation == "shelve_offload"
    assert act(ann, server, shelveOffload=None).status_code == 403


@pytest.mark.parametrize(
    ("version", "body", "expected"),
    [
        ("2.1", None, {"zone": "nova", "host": ""}),
        ("2.76", {"availability_zone": "ignored"}, {"zone": "nova", "host": ""}),
        ("2.77", {"availability_zone": "east"}, {"zone": "east", "host": ""}),
        ("2.91", {"availability_zone": "east"}, {"zone": "east", "host": ""}),
        ("2.91", {"availability_zone": None}, {"zone": None, "host": ""}),
        ("2.91", {"host": "h1"}, {"zone": "nova", "host": "h1"}),
        ("2.91", {"availability_zone": None, "host": "h2"}, {"zone": None, "host": "h2"}),
        ("2.91", {"availability_zone": "east", "host": "h2"}, {"zone": "east", "host": "h2"}),
    ],
)
def test_an_offloaded_server_goes_where_it_is_told(
    admin: Wire, offloaded: Instance, version: str, body: Any, expected: Any
) -> None:
    Instance.objects.update(requested_zone="nova", forced_host="h2")
    assert act(admin, offloaded, version, unshelve=body).status_code == 202
    assert destination() == expected
    assert Instance.objects.get().task_state == TaskState.UNSHELVING


@pytest.mark.parametrize(
    ("version", "body", "status"),
    [
        ("2.77", {}, 400),
        ("2.77", {"availability_zone": None}, 400),
        ("2.90", {"host": "h1"}, 400),
        ("2.91", {}, 400),
        ("2.91", {"host": None}, 400),
        ("2.91", {"host": ""}, 400),
        ("2.91", {"host": "nowhere"}, 400),
        ("2.91", {"availability_zone": "nowhere"}, 400),
        ("2.91", {"availability_zone": "nova:h1"}, 400),
        ("2.91", {"availability_zone": "east", "more": 1}, 400),
        ("2.91", {"availability_zone": "east", "host": "h1"}, 409),
        ("2.91", {"host": "h2"}, 409),
    ],
)
def test_a_place_that_makes_no_sense_is_refused(
    admin: Wire, offloaded: Instance, version: str, body: Any, status: int
) -> None:
    Instance.objects.update(requested_zone="nova")
    assert act(admin, offloaded, version, unshelve=body).status_code == status
    assert not Action.objects.exists()
    assert Instance.objects.get().task_state is None


def test_only_an_admin_names_a_host(ann: Wire, offloaded: Instance) -> None:
    assert act(ann, offloaded, "2.91", unshelve={"host": "h1"}).status_code == 403
    assert act(ann, offloaded, "2.91", unshelve={"availability_zone": "nova:h1"}).status_code == 400
    assert not Action.objects.exists()
    assert act(ann, offloaded, "2.91", unshelve={"availability_zone": "east"}).status_code == 202


def test_a_server_that_has_its_host_still_starts_there_and_nowhere_else(admin: Wire, server: Instance) -> None:
    Instance.objects.update(vm_state=VmState.SHELVED)
    reply = act(admin, server, "2.91", unshelve={"host": "h2"})
    assert reply.status_code == 409
    assert "shelved_offloaded" in reply.json()["conflictingRequest"]["message"]
    assert act(admin, server, "2.91", unshelve=None).status_code == 202
    assert Action.objects.get().operation == "unshelve_in_place"


def test_without_its_image_an_offloaded_server_cannot_come_back(ann: Wire, offloaded: Instance) -> None:
    Image.objects.filter(name="web-shelved").update(status="deleted")
    reply = act(ann, offloaded, unshelve=None)
    assert reply.status_code == 409
    assert "not there any more" in reply.json()["conflictingRequest"]["message"]


@pytest.mark.parametrize(("verb", "allowed"), [("shelve", "active stopped paused suspended"), ("unshelve", "shelved")])
def test_from_a_wrong_state_it_is_409_that_names_it(ann: Wire, server: Instance, verb: str, allowed: str) -> None:
    for state in set(VmState) - {*allowed.split(), "shelved_offloaded", "deleted"}:
        Instance.objects.update(vm_state=state)
        reply = act(ann, server, **{verb: None})
        assert reply.status_code == 409
        assert state in reply.json()["conflictingRequest"]["message"]
    assert not Action.objects.exists()
    assert not Image.objects.exists()


def test_locked_foreign_and_readers_are_refused(ann: Wire, bob: Wire, rita: Wire, server: Instance) -> None:
    assert act(bob, server, shelve=None).status_code == 404
    assert act(rita, server, shelve=None).status_code == 403
    Instance.objects.update(is_locked=True)
    assert act(ann, server, shelve=None).status_code == 409
    assert not Image.objects.exists()
