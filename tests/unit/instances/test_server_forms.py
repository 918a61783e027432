"""The very keys of a server in each microversion, for its owner and for an admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from cloud.workflow.models import Service
from instances.models import Fault, Instance
from instances.states import VmState
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, Ground, at, make_instance, project_of

BRIEF = {
    "id", "name", "status", "tenant_id", "user_id", "metadata", "hostId", "image", "flavor", "created", "updated",
    "addresses", "accessIPv4", "accessIPv6", "links", "OS-DCF:diskConfig", "progress",
}  # fmt: skip
FIRST = BRIEF | {
    "OS-EXT-AZ:availability_zone", "config_drive", "key_name", "OS-SRV-USG:launched_at", "OS-SRV-USG:terminated_at",
    "security_groups", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state", "OS-EXT-STS:power_state",
    "os-extended-volumes:volumes_attached",
}  # fmt: skip
_EXT = "OS-EXT-SRV-ATTR:"
FIRST_OF_ADMINS = {f"{_EXT}host", f"{_EXT}instance_name", f"{_EXT}hypervisor_hostname"}
# version → what it adds for everybody, what it adds for admins
ADDED: dict[str, tuple[set[str], set[str]]] = {
    "2.1": (set(), FIRST_OF_ADMINS),
    "2.3": (
        set(),
        {
            f"{_EXT}{name}"
            for name in (
                *("reservation_id", "launch_index", "kernel_id", "ramdisk_id"),
                *("hostname", "root_device_name", "user_data"),
            )
        },
    ),
    "2.9": ({"locked"}, set()),
    "2.16": (set(), {"host_status"}),
    "2.19": ({"description"}, set()),
    "2.26": ({"tags"}, set()),
    "2.47": (set(), set()),
    "2.63": ({"trusted_image_certificates"}, set()),
    "2.71": ({"server_groups"}, set()),
    "2.73": ({"locked_reason"}, set()),
    "2.75": (set(), set()),
    "2.90": ({f"{_EXT}hostname"}, set()),
    "2.96": ({"pinned_availability_zone"}, set()),
}


def expected(version: str, *, is_admin: bool, in_list: bool = False) -> set[str]:
    minor = int(version[2:])
    keys = set(FIRST)
    for since, (for_all, for_admins) in ADDED.items():
        if int(since[2:]) <= minor:
            keys |= for_all | (for_admins if is_admin else set())
    return keys - ({"server_groups"} if in_list else set())


@pytest.fixture
def server(ann: Wire, ground: Ground) -> Instance:
    return make_instance(project_of(ann), network=ground.network, tags=["t"], metadata={"a": "b"})


@pytest.mark.parametrize("version", list(ADDED))
def test_a_server_has_exactly_the_keys_of_its_microversion(
    ann: Wire, admin: Wire, server: Instance, version: str
) -> None:
    for wire, is_admin in ((ann, False), (admin, True)):
        shown = wire.get(f"{API}/servers/{server.pk}", **at(version)).json()["server"]
        assert set(shown) == expected(version, is_admin=is_admin)
        listed = wire.get(f"{API}/servers/detail?all_tenants={int(is_admin)}", **at(version)).json()["servers"][0]
        assert set(listed) == expected(version, is_admin=is_admin, in_list=True)
        assert {**listed, "server_groups": []} == {**shown, "server_groups": []}


def test_the_short_list_has_three_keys(ann: Wire, server: Instance) -> None:
    assert ann.get(f"{API}/servers").json()["servers"] == [
        {"id": str(server.pk), "name": "web", "links": ann.get(f"{API}/servers/{server.pk}").json()["server"]["links"]}
    ]


def test_the_flavor_is_a_reference_up_to_2_46_and_a_copy_from_2_47(ann: Wire, server: Instance) -> None:
    def flavor(version: str) -> Any:
        return ann.get(f"{API}/servers/{server.pk}", **at(version)).json()["server"]["flavor"]

    assert set(flavor("2.46")) == {"id", "links"}
    assert flavor("2.47") == {
        "vcpus": 2, "ram": 512, "disk": 10, "ephemeral": 0, "swap": 0, "original_name": "small", "extra_specs": {},
    }  # fmt: skip


def test_values_are_in_the_forms_of_the_wire(ann: Wire, admin: Wire, server: Instance) -> None:
    shown = admin.get(f"{API}/servers/{server.pk}", **at("2.96")).json()["server"]
    assert shown["status"] == "ACTIVE"
    assert shown["config_drive"] == "True"
    assert shown["created"].endswith("Z")
    assert len(shown["created"]) == 20
    assert len(shown["OS-SRV-USG:launched_at"]) == 26
    assert shown["OS-SRV-USG:terminated_at"] is None
    assert len(shown["hostId"]) == 56
    assert shown["image"]["id"] == server.image_id
    assert shown[f"{_EXT}host"] == "h1"
    [address] = shown["addresses"]["shared"]
    assert address["version"] == 4
    assert address["OS-EXT-IPS:type"] == "fixed"
    assert address["OS-EXT-IPS-MAC:mac_addr"].count(":") == 5


@pytest.mark.parametrize("version", ["2.1", "2.19", "2.63", "2.71", "2.74", "2.75", "2.96"])
def test_a_changed_server_is_brief_before_2_75_and_full_from_then_on(ann: Wire, server: Instance, version: str) -> None:
    shown = ann.put(f"{API}/servers/{server.pk}", {"server": {"name": "new"}}, **at(version)).json()["server"]
    full = expected(version, is_admin=False)
    assert set(shown) == (full if int(version[2:]) >= 75 else full - (FIRST - BRIEF))
    has_mac = "OS-EXT-IPS-MAC:mac_addr" in shown["addresses"]["shared"][0]
    assert has_mac == (int(version[2:]) >= 75)
    assert shown["name"] == "new"


def test_a_building_server_shows_no_addresses_and_no_host(ann: Wire, ground: Ground) -> None:
    row = make_instance(project_of(ann), network=ground.network, vm_state=VmState.BUILDING, host="", launched_at=None)
    shown = ann.get(f"{API}/servers/{row.pk}").json()["server"]
    assert (shown["status"], shown["addresses"], shown["hostId"]) == ("BUILD", {}, "")
    assert shown["OS-EXT-AZ:availability_zone"] == ""


def test_a_failed_server_shows_its_latest_fault(ann: Wire, ground: Ground) -> None:
    row = make_instance(project_of(ann), vm_state=VmState.ERROR, host="")
    Fault.objects.create(instance=row, code=500, message="first")
    Fault.objects.create(instance=row, code=500, message="No valid host was found.", details="h1: RamFilter: too small")
    for shown in (
        ann.get(f"{API}/servers/{row.pk}").json()["server"],
        ann.get(f"{API}/servers/detail").json()["servers"][0],
    ):
        assert "progress" not in shown
        assert shown["fault"]["message"] == "No valid host was found."
        assert shown["fault"]["details"] == "h1: RamFilter: too small"
        assert set(shown["fault"]) == {"code", "created", "message", "details"}


def test_a_server_without_trouble_shows_no_old_fault(ann: Wire, server: Instance) -> None:
    Fault.objects.create(instance=server, message="long ago")
    assert "fault" not in ann.get(f"{API}/servers/{server.pk}").json()["server"]


def test_an_admin_sees_whether_the_host_is_up(admin: Wire, server: Instance) -> None:
    def status() -> str:
        return admin.get(f"{API}/servers/{server.pk}", **at("2.16")).json()["server"]["host_status"]

    assert status() == "UNKNOWN"
    service = Service.objects.create(binary="nova-compute", host="h1")
    assert status() == "DOWN"
    Service.objects.filter(pk=service.pk).update(last_seen_at=timezone.now())
    assert status() == "UP"
    Service.objects.filter(pk=service.pk).update(is_disabled=True)
    assert status() == "MAINTENANCE"


def test_a_host_id_is_the_same_in_a_project_and_another_in_the_next(ann: Wire, bob: Wire, ground: Ground) -> None:
    mine = [make_instance(project_of(ann)) for _ in range(2)]
    theirs = make_instance(project_of(bob))
    ids = [ann.get(f"{API}/servers/{row.pk}").json()["server"]["hostId"] for row in mine]
    assert ids[0] == ids[1] != bob.get(f"{API}/servers/{theirs.pk}").json()["server"]["hostId"]
