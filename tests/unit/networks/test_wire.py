"""The requests that the `openstack` client sends for networks, subnets and ports; who may do what; bad input."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from rest_framework.test import APIClient

from cloud.networks.models import Network, Port, Subnet
from cloud.networks.services import allocate_ports, create_port
from tests.unit.networks.conftest import OURS, THEIRS, Wire, network
from tests.unit.networks.test_addresses import boot

pytestmark = pytest.mark.urls("tests.unit.networks.urls")
UNKNOWN = str(uuid.uuid4())


def test_version_documents_are_open_and_answer_with_and_without_a_slash(db: None) -> None:
    for path in ("/networking", "/networking/"):
        answer = APIClient().get(path)
        assert answer.status_code == 200
        assert answer.json()["versions"][0]["id"] == "v2.0"
    assert APIClient().get("/networking/v2.0").status_code == 200


def test_a_network_and_a_subnet_are_made_found_by_name_listed_and_deleted(member: Wire) -> None:
    made = member("POST", "/networks", {"network": {"name": "n1", "admin_state_up": True}}, 201)["network"]
    member("GET", "/networks/n1", status=404)
    assert [n["id"] for n in member("GET", "/networks?name=n1")["networks"]] == [made["id"]]
    wanted = {"name": "s1", "network_id": made["id"], "cidr": "192.168.9.0/24", "ip_version": 4}
    sub = member("POST", "/subnets", {"subnet": wanted}, 201)["subnet"]
    assert sub["gateway_ip"] == "192.168.9.1"
    assert sub["allocation_pools"] == [{"start": "192.168.9.2", "end": "192.168.9.254"}]
    member("GET", "/subnets/s1", status=404)
    assert member("GET", "/subnets?name=s1")["subnets"] == [sub]
    assert member("GET", f"/networks/{made['id']}")["network"]["subnets"] == [sub["id"]]
    assert "provider:network_type" not in made
    member("DELETE", f"/subnets/{sub['id']}", status=204)
    member("DELETE", f"/networks/{made['id']}", status=204)
    assert (Network.objects.count(), Subnet.objects.count()) == (0, 0)


def test_a_port_is_made_with_an_address_shown_changed_and_deleted(member: Wire, net: Network) -> None:
    port = member("POST", "/ports", {"port": {"name": "pt1", "network_id": str(net.id), "admin_state_up": True}}, 201)
    port = port["port"]
    assert port["fixed_ips"][0]["ip_address"] == "10.1.0.2"
    assert (port["status"], port["device_id"]) == ("DOWN", "")
    query = "?fields=id&fields=name&fields=mac_address&fields=fixed_ips&fields=status"
    listed = member("GET", f"/ports{query}")["ports"]
    assert [set(row) for row in listed] == [{"id", "name", "mac_address", "fixed_ips", "status"}]
    assert member("GET", "/ports?name=pt1")["ports"] == [port]
    assert member("GET", "/ports?fixed_ips=ip_address%3D10.1.0.2")["ports"] == [port]
    assert member("GET", "/ports?fixed_ips=ip_address%3D10.1.0.3")["ports"] == []
    assert member("GET", "/ports?fixed_ips=ip_address%3Dnonsense")["ports"] == []
    body = {
        "port": {"name": "pt2", "fixed_ips": [{"ip_address": "10.1.0.9"}, {"subnet_id": str(net.subnets.get().id)}]}
    }
    changed = member("PUT", f"/ports/{port['id']}", body, 200)["port"]
    assert changed["name"] == "pt2"
    assert {f["ip_address"] for f in changed["fixed_ips"]} == {"10.1.0.9", "10.1.0.2"}
    member("DELETE", f"/ports/{port['id']}", status=204)
    member("GET", f"/ports/{port['id']}", status=404)


def test_what_is_not_served_is_empty_to_read_and_refused_to_create(member: Wire) -> None:
    for plural in ("routers", "floatingips"):
        assert member("GET", f"/{plural}") == {plural: []}
        assert member("GET", f"/{plural}?name=r1") == {plural: []}
        member("GET", f"/{plural}/r1", status=404)
        error = member("POST", f"/{plural}", {plural[:-1]: {"name": "r1"}}, 400)
        assert "not served" in error["NeutronError"]["message"]
    member("POST", "/security-groups", {"security_group": {"name": "sg1"}}, 400)
    member("POST", "/security-group-rules", {"security_group_rule": {}}, 400)


def test_the_default_security_group_is_there_and_says_that_nothing_is_filtered(member: Wire, stranger: Wire) -> None:
    group = member("GET", "/security-groups?name=default")["security_groups"][0]
    assert group["project_id"] == OURS
    assert [(r["direction"], r["protocol"], r["remote_ip_prefix"]) for r in group["security_group_rules"]] == [
        ("ingress", None, None),
        ("egress", None, None),
    ]
    member("GET", "/security-groups/default", status=404)
    assert member("GET", f"/security-groups/{group['id']}", status=200)["security_group"] == group
    assert len(member("GET", f"/security-group-rules?security_group_id={group['id']}")["security_group_rules"]) == 2
    stranger("GET", f"/security-groups/{group['id']}", status=404)


def test_extensions_and_quotas_answer_as_the_client_asks(member: Wire, admin: Wire) -> None:
    aliases = [e["alias"] for e in member("GET", "/extensions")["extensions"]]
    assert "router" not in aliases
    assert member("GET", f"/extensions/{aliases[0]}")["extension"]["alias"] == aliases[0]
    member("GET", "/extensions/Availability Zone", status=404)
    assert member("GET", f"/quotas/{OURS}")["quota"]["network"] == -1
    assert member("GET", f"/quotas/{OURS}/default")["quota"]["router"] == 0
    member("GET", f"/quotas/{THEIRS}", status=403)
    member("DELETE", f"/quotas/{OURS}", status=403)
    admin("DELETE", f"/quotas/{OURS}", status=204)


# --- who may do what --------------------------------------------------------------------------------------------------


def test_others_networks_are_not_there_and_shared_ones_are_read_only(net: Network, stranger: Wire) -> None:
    stranger("GET", f"/networks/{net.id}", status=404)
    assert stranger("GET", "/networks")["networks"] == []
    assert stranger("GET", "/subnets")["subnets"] == []
    stranger("POST", "/ports", {"port": {"network_id": str(net.id)}}, 404)
    stranger("DELETE", f"/networks/{net.id}", status=404)
    Network.objects.update(is_shared=True)
    assert len(stranger("GET", "/networks")["networks"]) == 1
    assert len(stranger("GET", "/subnets")["subnets"]) == 1
    stranger("DELETE", f"/networks/{net.id}", status=403)
    stranger("PUT", f"/networks/{net.id}", {"network": {"name": "mine"}}, 403)
    stranger("POST", "/subnets", {"subnet": {"network_id": str(net.id), "cidr": "10.7.0.0/24"}}, 403)
    port = stranger("POST", "/ports", {"port": {"network_id": str(net.id)}}, 201)["port"]
    assert port["project_id"] == THEIRS


def test_only_admins_share_choose_the_mode_and_act_for_other_projects(member: Wire, admin: Wire, net: Network) -> None:
    member("POST", "/networks", {"network": {"name": "x", "shared": True}}, 403)
    member("PUT", f"/networks/{net.id}", {"network": {"shared": True}}, 403)
    member("POST", "/networks", {"network": {"name": "x", "project_id": THEIRS}}, 403)
    member("POST", "/networks", {"network": {"name": "x", "provider:network_type": "isolated"}}, 403)
    body = {"name": "x", "shared": True, "project_id": THEIRS, "provider:network_type": "isolated"}
    made = admin("POST", "/networks", {"network": body}, 201)["network"]
    assert (made["shared"], made["project_id"], made["provider:network_type"]) == (True, THEIRS, "isolated")
    assert len(admin("GET", "/networks")["networks"]) == 2
    assert "binding:host_id" not in member("POST", "/ports", {"port": {"network_id": str(net.id)}}, 201)["port"]
    assert admin("GET", "/ports")["ports"][0]["binding:host_id"] == ""


def test_readers_read_and_change_nothing(reader: Wire, net: Network) -> None:
    assert len(reader("GET", "/networks")["networks"]) == 1
    reader("POST", "/networks", {"network": {"name": "x"}}, 403)
    reader("PUT", f"/networks/{net.id}", {"network": {"name": "x"}}, 403)
    reader("DELETE", f"/networks/{net.id}", status=403)
    reader("POST", "/ports", {"port": {"network_id": str(net.id)}}, 403)


def test_without_a_token_there_is_nothing(db: None) -> None:
    answer = APIClient().get("/networking/v2.0/networks")
    assert answer.status_code == 401
    assert "NeutronError" in answer.json()


# --- what is in use ---------------------------------------------------------------------------------------------------


def test_the_port_of_an_instance_and_what_it_stands_on_cannot_be_deleted(member: Wire, net: Network) -> None:
    port = boot(net)[0]
    error = member("DELETE", f"/ports/{port.id}", status=409)
    assert port.device_id in error["NeutronError"]["message"]
    member("PUT", f"/ports/{port.id}", {"port": {"fixed_ips": []}}, 409)
    member("PUT", f"/ports/{port.id}", {"port": {"device_id": ""}}, 409)
    member("PUT", f"/ports/{port.id}", {"port": {"name": "mine"}}, 200)
    member("DELETE", f"/networks/{net.id}", status=409)
    member("DELETE", f"/subnets/{net.subnets.get().id}", status=409)
    assert member("GET", f"/ports?device_id={port.device_id}")["ports"][0]["status"] == "ACTIVE"


def test_a_shared_network_stays_shared_while_others_use_it(admin: Wire, net: Network) -> None:
    Network.objects.update(is_shared=True)
    create_port(network_id=net.id, project_id=THEIRS)
    admin("PUT", f"/networks/{net.id}", {"network": {"shared": False}}, 409)
    Port.objects.all().delete()
    assert admin("PUT", f"/networks/{net.id}", {"network": {"shared": False}}, 200)["network"]["shared"] is False


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cidr": "nonsense"}, "'nonsense' is not a valid IP subnet"),
        ({"cidr": "10.7.0.5/24"}, "'10.7.0.0/24' is recommended"),
        ({"cidr": "10.7.0.0"}, "recommended"),
        ({"cidr": "10.7.0.0/31"}, "prefix of 31"),
        ({"cidr": "0.0.0.0/0"}, "prefix of 0"),
        ({"cidr": "127.1.0.0/24"}, "127.0.0.0/8"),
        ({"cidr": "fd00::/64"}, "only IPv4"),
        ({"cidr": 5}, "cidr"),
        ({"ip_version": 6}, "ip_version"),
        ({"cidr": "10.1.0.128/25"}, "overlaps with another subnet, 10.1.0.0/24"),
        ({"gateway_ip": "10.8.0.1"}, "'10.8.0.1' is not a usable address"),
        ({"gateway_ip": "10.7.0.255"}, "10.7.0.255"),
        ({"gateway_ip": "x"}, "'x' is not a valid IPv4 address"),
        ({"allocation_pools": [{"start": "10.7.0.9", "end": "10.7.0.5"}]}, "10.7.0.9-10.7.0.5"),
        ({"allocation_pools": [{"start": "10.7.0.9", "end": "10.7.1.5"}]}, "spans beyond"),
        (
            {"allocation_pools": [{"start": "10.7.0.5", "end": "10.7.0.9"}, {"start": "10.7.0.9", "end": "10.7.0.12"}]},
            "overlapping allocation pools",
        ),
        ({"allocation_pools": [{"start": "10.7.0.9"}]}, "allocation_pools"),
        ({"dns_nameservers": ["one"]}, "'one' is not a valid IPv4 address"),
        ({"host_routes": [{"destination": "0.0.0.0/0", "nexthop": "10.7.0.1"}]}, "host_routes"),
        ({"name": "x" * 256}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"nonsense": 1}, "nonsense"),
        ({"network_id": "nonsense"}, "network_id"),
    ],
)
def test_a_bad_subnet_is_refused_with_the_field_and_the_value(
    member: Wire, net: Network, change: dict[str, Any], words: str
) -> None:
    body = {"subnet": {"network_id": str(net.id), "cidr": "10.7.0.0/24", **change}}
    assert words in member("POST", "/subnets", body, 400)["NeutronError"]["message"]
    assert Subnet.objects.count() == 1


def test_a_range_of_another_network_is_refused_unless_the_setting_allows_it(
    member: Wire, net: Network, settings: Any
) -> None:
    other = network("other")
    body = {"subnet": {"network_id": str(other.id), "cidr": "10.1.0.0/16"}}
    assert "another network" in member("POST", "/subnets", body, 409)["NeutronError"]["message"]
    settings.NETWORKS_MAY_OVERLAP = True
    member("POST", "/subnets", body, 201)


def test_a_gateway_inside_a_pool_is_a_conflict_and_none_is_none(member: Wire, net: Network) -> None:
    bare = member("POST", "/networks", {"network": {"name": "bare"}}, 201)["network"]
    body = {"network_id": bare["id"], "cidr": "10.7.0.0/24", "gateway_ip": "10.7.0.9"}
    pools = [{"start": "10.7.0.5", "end": "10.7.0.20"}]
    member("POST", "/subnets", {"subnet": {**body, "allocation_pools": pools}}, 409)
    made = member("POST", "/subnets", {"subnet": {**body, "gateway_ip": None}}, 201)["subnet"]
    assert (made["gateway_ip"], made["allocation_pools"][0]["start"]) == (None, "10.7.0.1")
    member("PUT", f"/subnets/{made['id']}", {"subnet": {"gateway_ip": "10.7.0.1"}}, 409)
    fine = {"gateway_ip": "10.7.0.1", "allocation_pools": [{"start": "10.7.0.2", "end": "10.7.0.3"}], "name": "s"}
    assert member("PUT", f"/subnets/{made['id']}", {"subnet": fine}, 200)["subnet"]["gateway_ip"] == "10.7.0.1"


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"network_id": UNKNOWN}, 404, UNKNOWN),
        ({"network_id": "x"}, 400, "network_id"),
        ({"mac_address": "nonsense"}, 400, "mac_address"),
        ({"mac_address": "01:00:00:00:00:01"}, 400, "mac_address"),
        ({"mac_address": "fa:16:3e:00:00:01\n"}, 400, "mac_address"),
        ({"fixed_ips": [{"subnet_id": UNKNOWN + "\n"}]}, 400, "subnet_id"),
        ({"fixed_ips": [{"ip_address": "10.1.0.1"}]}, 400, "gateway"),
        ({"fixed_ips": [{"ip_address": "10.9.0.1"}]}, 400, "outside"),
        ({"fixed_ips": [{"ip_address": "x"}]}, 400, "'x'"),
        ({"fixed_ips": [{"ip_address": "10.1.0.7"}, {"ip_address": "10.1.0.7"}]}, 409, "10.1.0.7"),
        ({"fixed_ips": [{"subnet_id": UNKNOWN}]}, 400, UNKNOWN),
        ({"fixed_ips": [{}]}, 400, "fixed_ips"),
        ({"device_owner": "compute:nova"}, 400, "compute:nova"),
        ({"binding:host_id": "h1"}, 400, "binding:host_id"),
        ({"security_groups": ["sg1"]}, 400, "security_groups"),
    ],
)
def test_a_bad_port_is_refused_with_the_field_and_the_value(
    member: Wire, net: Network, change: dict[str, Any], status: int, words: str
) -> None:
    body = {"port": {"network_id": str(net.id), **change}}
    assert words in member("POST", "/ports", body, status)["NeutronError"]["message"]
    assert Port.objects.count() == 0


def test_a_mac_that_is_taken_is_a_conflict(member: Wire, net: Network) -> None:
    body = {"port": {"network_id": str(net.id), "mac_address": "FA:16:3E:00:00:01"}}
    assert member("POST", "/ports", body, 201)["port"]["mac_address"] == "fa:16:3e:00:00:01"
    assert "FA:16:3E:00:00:01" in member("POST", "/ports", body, 409)["NeutronError"]["message"]
    other = member("POST", "/ports", {"port": {"network_id": str(net.id)}}, 201)["port"]
    member("PUT", f"/ports/{other['id']}", {"port": {"mac_address": "fa:16:3e:00:00:01"}}, 409)


@pytest.mark.parametrize("body", [None, {}, [], {"network": []}, {"network": {"mtu": 1}}, {"network": {"name": None}}])
def test_a_malformed_body_is_refused(member: Wire, body: Any) -> None:
    error = member("POST", "/networks", body, 400)
    assert error["NeutronError"]["type"].startswith("request.")


def test_an_mtu_comes_as_a_number_or_as_text_and_has_its_limits(member: Wire, net: Network) -> None:
    for mtu in (1450, "1450"):
        assert member("PUT", f"/networks/{net.id}", {"network": {"mtu": mtu}}, 200)["network"]["mtu"] == 1450
    for mtu in (575, "575", 9001, "9001", "many", -1, True, None, 1450.5, "1450\n"):
        assert "mtu" in member("PUT", f"/networks/{net.id}", {"network": {"mtu": mtu}}, 400)["NeutronError"]["message"]


def test_an_unknown_filter_sort_key_marker_or_limit_is_named(member: Wire, net: Network) -> None:
    for query, words in (
        ("nonsense=1", "nonsense"),
        ("sort_key=nonsense", "nonsense"),
        ("sort_key=name&sort_dir=up", "up"),
        (f"marker={UNKNOWN}", UNKNOWN),
        ("marker=x", "x"),
        ("limit=-1", "-1"),
        ("shared=perhaps", "perhaps"),
        ("mtu=many", "many"),
        ("name=%00", "name"),
    ):
        assert words in member("GET", f"/networks?{query}", status=400)["NeutronError"]["message"]
    assert member("GET", "/networks?id=nonsense")["networks"] == []
    assert member("GET", "/ports?network_id=nonsense")["ports"] == []
    assert member("GET", "/subnets?gateway_ip=nonsense")["subnets"] == []


# --- lists ------------------------------------------------------------------------------------------------------------


def test_pages_follow_one_another_by_their_links(member: Wire) -> None:
    for name in ("c", "a", "b", "a"):
        network(name)
    path, seen = "/networks?limit=1&sort_key=name&sort_dir=desc&fields=name", []
    while path:
        body = member("GET", path, status=200)
        seen += [n["name"] for n in body["networks"]]
        links = body.get("networks_links", [])
        path = links[0]["href"].split("/networking/v2.0")[1] if links else ""
    assert seen == ["c", "b", "a", "a"]


def test_lists_filter_by_any_field(member: Wire, net: Network) -> None:
    network("second", is_admin_state_up=False, mtu=1400)
    for query, names in (
        ("name=net&name=second", {"net", "second"}),
        ("admin_state_up=False", {"second"}),
        ("mtu=1400", {"second"}),
        ("shared=True", set()),
        ("status=ACTIVE", {"net", "second"}),
        ("status=DOWN", set()),
        ("router:external=True", set()),
        ("router:external=False", {"net", "second"}),
        (f"project_id={THEIRS}", set()),
        (f"id={net.id}", {"net"}),
    ):
        assert {n["name"] for n in member("GET", f"/networks?{query}")["networks"]} == names, query


def test_a_list_of_ports_costs_the_same_queries_however_long(
    member: Wire, net: Network, django_assert_max_num_queries: Any
) -> None:
    for _ in range(10):
        boot(net)
    with django_assert_max_num_queries(3):
        assert len(member("GET", "/ports")["ports"]) == 10
    assert (
        allocate_ports(instance_id=uuid.uuid4(), project_id=OURS, host="h", requests=(), action_id=uuid.uuid4()) == []
    )
