"""What the `openstack` client asks about hosts, services, zones and resource providers; by microversion."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from cloud.api.policy import Caller
from cloud.workflow.models import Host, Service
from scheduling.claims import claim
from scheduling.models import ComputeNode
from tests.unit.scheduling.conftest import make_node, spec

pytestmark = [pytest.mark.urls("tests.unit.scheduling.urls"), pytest.mark.django_db]
UNKNOWN = str(uuid.uuid4())


class Wire:
    """A client of compute (or placement), as an admin unless told otherwise."""

    def __init__(self, *roles: str, prefix: str = "/compute/v2.1") -> None:
        self.prefix = prefix
        self.client = APIClient()
        self.client.force_authenticate(
            user=Caller(  # type: ignore[arg-type]
                user_id="u",
                user_name="u",
                user_domain_id="default",
                project_id="p",
                project_name="p",
                roles=frozenset(roles or ("admin",)),
            )
        )

    def __call__(self, method: str, path: str, version: str = "", body: Any = None, status: int = 200) -> Any:
        service = "placement" if self.prefix == "/placement" else "compute"
        headers = {"OpenStack-API-Version": f"{service} {version}"} if version else {}
        answer = getattr(self.client, method.lower())(f"{self.prefix}{path}", body, format="json", headers=headers)
        assert answer.status_code == status, answer.content
        return answer.json() if answer.content else None


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def node() -> ComputeNode:
    return make_node("compute1", reserved_memory_mib=192, cpu_info={"model": "max"}, host_ip="10.0.0.1")


# --- hypervisors ------------------------------------------------------------------------------------------------------

IDENTITY = {"id", "hypervisor_hostname", "state", "status"}
USAGE = {
    "current_workload",
    "disk_available_least",
    "free_disk_gb",
    "free_ram_mb",
    "local_gb",
    "local_gb_used",
    "memory_mb",
    "memory_mb_used",
    "running_vms",
    "vcpus",
    "vcpus_used",
}
DETAIL = IDENTITY | {"host_ip", "hypervisor_type", "hypervisor_version", "service"}


def test_a_hypervisor_is_found_by_name_and_shown(wire: Wire, node: ComputeNode) -> None:
    wire("GET", "/os-hypervisors/compute1", "2.88", status=404)
    listed = wire("GET", "/os-hypervisors", "2.88")["hypervisors"]
    assert listed == [
        {"id": str(node.uuid), "hypervisor_hostname": "compute1.example", "state": "up", "status": "enabled"}
    ]
    shown = wire("GET", f"/os-hypervisors/{node.uuid}", "2.88")["hypervisor"]
    assert set(shown) == DETAIL | {"uptime"}
    service = Service.objects.get()
    assert shown["service"] == {"host": "compute1", "id": str(service.uuid), "disabled_reason": None}
    assert wire("GET", "/os-aggregates", "2.81") == {"aggregates": []}


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("", DETAIL | USAGE | {"cpu_info"}),
        ("2.28", DETAIL | USAGE | {"cpu_info"}),
        ("2.53", DETAIL | USAGE | {"cpu_info"}),
        ("2.87", DETAIL | USAGE | {"cpu_info"}),
        ("2.88", DETAIL | {"uptime"}),
    ],
)
def test_details_have_the_fields_of_their_microversion(
    wire: Wire, node: ComputeNode, version: str, fields: set[str]
) -> None:
    shown = wire("GET", "/os-hypervisors/detail", version)["hypervisors"][0]
    assert set(shown) == fields
    assert isinstance(shown["id"], int if version in ("", "2.28") else str)
    if "cpu_info" in shown:
        assert shown["cpu_info"] == ('{"model": "max"}' if version == "" else {"model": "max"})
    identifier = shown["id"]
    assert wire("GET", f"/os-hypervisors/{identifier}", version)["hypervisor"] == shown


def test_usage_is_what_claims_took_and_the_reserve(wire: Wire, node: ComputeNode) -> None:
    claim(spec(vcpus=2, memory_mib=1000, disk_gib=7), ["compute1"], action_id=uuid.uuid4())
    make_node("off")
    Service.objects.filter(host="off").update(is_disabled=True)
    shown = wire("GET", f"/os-hypervisors/{node.pk}")["hypervisor"]
    assert (shown["vcpus_used"], shown["memory_mb_used"], shown["free_ram_mb"]) == (2, 1192, 7000)
    assert (shown["local_gb_used"], shown["free_disk_gb"]) == (7, 93)
    sums = wire("GET", "/os-hypervisors/statistics")["hypervisor_statistics"]
    assert set(sums) == USAGE | {"count"}
    assert (sums["count"], sums["vcpus"], sums["memory_mb_used"]) == (1, 8, 1192)
    wire("GET", "/os-hypervisors/statistics", "2.88", status=404)


def test_servers_of_a_hypervisor_are_shown_when_asked_for(wire: Wire, node: ComputeNode) -> None:
    path = f"/os-hypervisors/{node.uuid}?with_servers=True"
    assert "servers" not in wire("GET", path, "2.53")["hypervisor"]
    assert wire("GET", path, "2.75")["hypervisor"]["servers"] == []
    asked = spec()
    claim(asked, ["compute1"], action_id=uuid.uuid4())
    assert wire("GET", path, "2.53")["hypervisor"]["servers"][0]["uuid"] == str(asked.instance_id)
    assert "servers" not in wire("GET", "/os-hypervisors", "2.53")["hypervisors"][0]
    wire("GET", "/os-hypervisors?with_servers=perhaps", "2.53", status=400)
    rows = wire("GET", "/os-hypervisors/compute/servers")["hypervisors"]
    assert rows[0]["servers"][0]["uuid"] == str(asked.instance_id)


def test_searching_moved_into_a_parameter_and_finding_nothing_is_not_found(wire: Wire, node: ComputeNode) -> None:
    assert len(wire("GET", "/os-hypervisors/compute/search")["hypervisors"]) == 1
    wire("GET", "/os-hypervisors/nonsense/search", status=404)
    wire("GET", "/os-hypervisors/compute/search", "2.53", status=404)
    assert len(wire("GET", "/os-hypervisors?hypervisor_hostname_pattern=compute", "2.53")["hypervisors"]) == 1
    wire("GET", "/os-hypervisors?hypervisor_hostname_pattern=nonsense", "2.53", status=404)
    wire("GET", "/os-hypervisors?hypervisor_hostname_pattern=%00", "2.53", status=400)


def test_hypervisors_come_in_pages(wire: Wire) -> None:
    for name in ("a", "b", "c"):
        make_node(name)
    path, seen = "/os-hypervisors?limit=2", []
    while path:
        body = wire("GET", path, "2.53")
        seen += [row["hypervisor_hostname"] for row in body["hypervisors"]]
        links = body.get("hypervisors_links")
        path = links[0]["href"].split("/compute/v2.1")[1] if links else ""
    assert seen == ["a.example", "b.example", "c.example"]
    wire("GET", f"/os-hypervisors?marker={UNKNOWN}", "2.53", status=400)
    wire("GET", "/os-hypervisors?marker=x&limit=x", "2.53", status=400)


def test_a_host_that_is_down_or_disabled_is_shown_so(wire: Wire, node: ComputeNode) -> None:
    Service.objects.update(is_disabled=True, last_seen_at=None)
    shown = wire("GET", "/os-hypervisors")["hypervisors"][0]
    assert (shown["state"], shown["status"]) == ("down", "disabled")


def test_uptime_is_not_known_and_says_so(wire: Wire, node: ComputeNode) -> None:
    wire("GET", f"/os-hypervisors/{node.pk}/uptime", status=501)
    wire("GET", "/os-hypervisors/99/uptime", status=404)
    wire("GET", f"/os-hypervisors/{node.uuid}/uptime", "2.88", status=404)


@pytest.mark.parametrize("identifier", ["0", "99", "x", "9" * 30, UNKNOWN, "%00"])
@pytest.mark.parametrize("version", ["2.1", "2.88"])
def test_an_unknown_hypervisor_is_not_found(wire: Wire, identifier: str, version: str) -> None:
    wire("GET", f"/os-hypervisors/{identifier}", version, status=404)


def test_hosts_of_the_old_kind_are_served_up_to_their_cap(wire: Wire, node: ComputeNode) -> None:
    claim(spec(), ["compute1"], action_id=uuid.uuid4())
    assert wire("GET", "/os-hosts")["hosts"] == [{"host_name": "compute1", "service": "compute", "zone": "nova"}]
    rows = [row["resource"] for row in wire("GET", "/os-hosts/compute1")["host"]]
    assert [row["project"] for row in rows] == ["(total)", "(used_now)", "(used_max)", "p" * 32]
    assert rows[1]["memory_mb"] == 512 + 192
    wire("GET", "/os-hosts/nonsense", status=404)
    wire("GET", "/os-hosts", "2.43", status=404)


# --- services ---------------------------------------------------------------------------------------------------------


def test_services_are_listed_with_their_zone_and_state(wire: Wire, node: ComputeNode) -> None:
    Service.objects.create(binary="nova-conductor", host="ctl", last_seen_at=timezone.now())
    rows = wire("GET", "/os-services", "2.69")["services"]
    assert [(r["binary"], r["zone"], r["state"], r["status"], r["forced_down"]) for r in rows] == [
        ("nova-compute", "nova", "up", "enabled", False),
        ("nova-conductor", "internal", "up", "enabled", False),
    ]
    assert rows[0]["id"] == str(Service.objects.get(binary="nova-compute").uuid)
    old = wire("GET", "/os-services")["services"][0]
    assert set(old) == {"id", "binary", "host", "zone", "status", "state", "updated_at", "disabled_reason"}
    assert isinstance(old["id"], int)
    assert len(wire("GET", "/os-services?binary=nova-compute&host=compute1", "2.69")["services"]) == 1
    assert wire("GET", "/os-services?host=nonsense", "2.69")["services"] == []


def test_disabling_forcing_down_and_enabling_is_heeded_by_the_scheduler_at_once(wire: Wire, node: ComputeNode) -> None:
    path = f"/os-services/{Service.objects.get().uuid}"
    body = {"status": "disabled", "disabled_reason": "x"}
    shown = wire("PUT", path, "2.69", body)["service"]
    assert (shown["status"], shown["disabled_reason"]) == ("disabled", "x")
    assert not ComputeNode.objects.get().is_schedulable
    shown = wire("PUT", path, "2.69", {"status": "enabled"})["service"]
    assert (shown["status"], shown["disabled_reason"]) == ("enabled", None)
    assert ComputeNode.objects.get().is_schedulable
    assert wire("PUT", path, "2.69", {"forced_down": True})["service"]["state"] == "down"
    assert not ComputeNode.objects.get().is_schedulable
    wire("PUT", path, "2.69", {"forced_down": False})
    assert ComputeNode.objects.get().is_schedulable


def test_services_are_switched_by_name_up_to_their_cap(wire: Wire, node: ComputeNode) -> None:
    body = {"host": "compute1", "binary": "nova-compute"}
    assert wire("PUT", "/os-services/disable", body=body)["service"]["status"] == "disabled"
    reason = {**body, "disabled_reason": "x"}
    assert wire("PUT", "/os-services/disable-log-reason", body=reason)["service"] == {**reason, "status": "disabled"}
    assert wire("PUT", "/os-services/enable", body=body)["service"] == {**body, "status": "enabled"}
    wire("PUT", "/os-services/force-down", "2.10", body, 404)
    assert wire("PUT", "/os-services/force-down", "2.11", body)["service"]["forced_down"] is True
    wire("PUT", "/os-services/nonsense", body=body, status=404)
    wire("PUT", "/os-services/disable", body={**body, "host": "nonsense"}, status=404)
    wire("PUT", "/os-services/disable", body={"host": "compute1"}, status=400)
    wire("PUT", "/os-services/disable", "2.53", body, 400)


@pytest.mark.parametrize(
    "body",
    [
        {},
        None,
        {"status": "off"},
        {"status": "enabled", "disabled_reason": "x"},
        {"disabled_reason": "x"},
        {"forced_down": "perhaps"},
        {"status": "disabled", "disabled_reason": ""},
        {"status": "disabled", "disabled_reason": "x" * 256},
        {"nonsense": 1},
    ],
)
def test_a_bad_change_of_a_service_is_refused_and_changes_nothing(wire: Wire, node: ComputeNode, body: Any) -> None:
    wire("PUT", f"/os-services/{Service.objects.get().uuid}", "2.69", body, 400)
    assert ComputeNode.objects.get().is_schedulable


def test_only_compute_services_are_switched_and_unknown_ones_are_not_found(wire: Wire) -> None:
    conductor = Service.objects.create(binary="nova-conductor", host="ctl")
    wire("PUT", f"/os-services/{conductor.uuid}", "2.69", {"status": "disabled"}, 400)
    wire("PUT", f"/os-services/{UNKNOWN}", "2.69", {"status": "disabled"}, 404)
    wire("DELETE", f"/os-services/{UNKNOWN}", "2.69", status=404)
    wire("DELETE", "/os-services/x", status=400)
    wire("DELETE", f"/os-services/{conductor.uuid}", "2.69", status=204)


def test_a_service_that_runs_or_has_a_compute_host_is_not_deleted(wire: Wire, node: ComputeNode) -> None:
    wire("DELETE", f"/os-services/{Service.objects.get().uuid}", "2.69", status=409)
    alive = Service.objects.create(binary="nova-conductor", host="ctl", last_seen_at=timezone.now())
    wire("DELETE", f"/os-services/{alive.pk}", status=409)
    assert Host.objects.count() == 1


# --- zones ------------------------------------------------------------------------------------------------------------


def test_zones_are_listed_for_all_and_in_detail_for_admins(wire: Wire, node: ComputeNode) -> None:
    make_node("h2", zone="east")
    Service.objects.filter(host="h2").update(is_disabled=True)
    Service.objects.create(binary="nova-conductor", host="ctl", last_seen_at=timezone.now())
    member = Wire("member")
    assert member("GET", "/os-availability-zone")["availabilityZoneInfo"] == [
        {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None},
        {"zoneName": "east", "zoneState": {"available": False}, "hosts": None},
    ]
    member("GET", "/os-availability-zone/detail", status=403)
    zones = {z["zoneName"]: z for z in wire("GET", "/os-availability-zone/detail")["availabilityZoneInfo"]}
    assert set(zones) == {"internal", "nova", "east"}
    assert zones["nova"]["hosts"]["compute1"]["nova-compute"]["available"] is True
    assert zones["east"]["hosts"]["h2"]["nova-compute"]["active"] is False
    assert "ctl" in zones["internal"]["hosts"]


def test_a_cloud_without_hosts_still_has_its_default_zone() -> None:
    zones = Wire("member")("GET", "/os-availability-zone")["availabilityZoneInfo"]
    assert [z["zoneName"] for z in zones] == ["nova"]


# --- policy -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/os-hypervisors", "/os-hypervisors/detail", "/os-hypervisors/statistics", "/os-services", "/os-hosts"]
)
def test_hosts_and_services_are_for_admins(path: str) -> None:
    error = Wire("member")("GET", path, status=403)
    assert error["forbidden"]["code"] == 403
    assert APIClient().get(f"/compute/v2.1{path}").status_code == 401


def test_a_version_that_is_not_served_is_not_acceptable_and_the_served_one_is_echoed(wire: Wire) -> None:
    wire("GET", "/os-services", "2.999", status=406)
    wire("GET", "/os-services", "nonsense", status=400)
    answer = wire.client.get("/compute/v2.1/os-services/", headers={"X-OpenStack-Nova-API-Version": "2.53"})
    assert answer["OpenStack-API-Version"] == "compute 2.53"


# --- placement --------------------------------------------------------------------------------------------------------


def test_resource_providers_show_inventories_usages_and_allocations(node: ComputeNode) -> None:
    placement = Wire(prefix="/placement")
    asked = spec(vcpus=2, memory_mib=1000, disk_gib=0)
    claim(asked, ["compute1"], action_id=uuid.uuid4())
    versions = APIClient().get("/placement/").json()["versions"][0]
    assert (versions["min_version"], versions["links"][0]["href"]) == ("1.0", "")
    rows = placement("GET", "/resource_providers", "1.29")["resource_providers"]
    assert [(row["uuid"], row["name"], row["root_provider_uuid"]) for row in rows] == [
        (str(node.uuid), "compute1", str(node.uuid))
    ]
    assert placement("GET", "/resource_providers?name=nonsense", "1.29")["resource_providers"] == []
    one = f"/resource_providers/{node.uuid}"
    assert placement("GET", one)["name"] == "compute1"
    inventories = placement("GET", f"{one}/inventories", "1.29")["inventories"]
    assert inventories["MEMORY_MB"] == {
        "total": 8192,
        "reserved": 192,
        "min_unit": 1,
        "max_unit": 8192,
        "step_size": 1,
        "allocation_ratio": 1.0,
    }
    assert placement("GET", f"{one}/usages")["usages"] == {"VCPU": 2, "MEMORY_MB": 1000, "DISK_GB": 0}
    allocations = placement("GET", f"/allocations/{asked.instance_id}", "1.29")
    assert allocations["allocations"][str(node.uuid)]["resources"] == {"VCPU": 2, "MEMORY_MB": 1000}
    assert allocations["project_id"] == asked.project_id
    assert placement("GET", f"{one}/allocations")["allocations"].keys() == {str(asked.instance_id)}
    assert placement("GET", f"/allocations/{UNKNOWN}", "1.29") == {"allocations": {}}


def test_bad_requests_to_placement_have_its_shape(node: ComputeNode) -> None:
    placement = Wire(prefix="/placement")
    error = placement("GET", f"/resource_providers/{UNKNOWN}", status=404)
    assert error["errors"][0]["status"] == 404
    placement("GET", "/resource_providers/x/usages", status=404)
    placement("GET", "/resource_providers?uuid=x", status=400)
    placement("GET", "/resource_providers?nonsense=x", status=400)
    placement("GET", "/allocations/x", status=400)
    placement("GET", "/resource_providers", "1.99", status=406)
    placement("GET", "/resource_providers", "nonsense", status=400)
    placement("POST", "/resource_providers", body={"name": "x"}, status=405)
    Wire("member", prefix="/placement")("GET", "/resource_providers", status=403)
