"""What a boot may ask of the network, and how it is refused."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from cloud.errors import BadRequest, CloudError, Conflict
from cloud.networks.models import Network
from cloud.networks.selectors import PortRequest, resolve_requested
from cloud.networks.services import create_port
from tests.unit.networks.conftest import OURS, THEIRS, caller, network, subnet
from tests.unit.networks.test_addresses import boot

US = caller("member")
UNKNOWN = str(uuid.uuid4())


@pytest.mark.parametrize("wanted", [None, "auto"])
def test_the_only_usable_network_is_taken_without_being_named(net: Network, wanted: Any) -> None:
    network("of somebody else", project=THEIRS)
    network("without a subnet")
    assert resolve_requested(US, wanted) == (PortRequest(network_id=str(net.id)),)


@pytest.mark.parametrize("wanted", [None, "auto"])
def test_without_a_network_there_is_no_port_and_with_two_the_request_must_say_which(net: Network, wanted: Any) -> None:
    assert resolve_requested(caller("member", project=THEIRS), wanted) == ()
    subnet(network("shared", project=THEIRS, is_shared=True), "10.5.0.0/24")
    with pytest.raises(Conflict, match="Multiple possible networks found"):
        resolve_requested(US, wanted)
    assert resolve_requested(US, "none") == ()


def test_an_admins_auto_means_its_own_projects_networks(net: Network) -> None:
    subnet(network("of somebody else", project=THEIRS), "10.5.0.0/24")
    assert len(resolve_requested(caller("admin"), None)) == 1


def test_a_list_is_taken_in_its_order(net: Network) -> None:
    port = create_port(network_id=net.id, project_id=OURS)
    wanted = [
        {"port": str(port.id), "tag": "first"},
        {"uuid": str(net.id), "fixed_ip": "10.1.0.99"},
        {"uuid": str(net.id)},
    ]
    assert resolve_requested(US, wanted) == (
        PortRequest(network_id=str(net.id), port_id=str(port.id), tag="first"),
        PortRequest(network_id=str(net.id), fixed_ip="10.1.0.99"),
        PortRequest(network_id=str(net.id)),
    )


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"uuid": UNKNOWN}, UNKNOWN),
        ({"uuid": "nonsense"}, "nonsense"),
        ({"uuid": None}, "None"),
        ({}, "None"),
        ({"port": UNKNOWN}, UNKNOWN),
        ({"port": "nonsense"}, "nonsense"),
        ({"uuid": "NET", "fixed_ip": "nonsense"}, "nonsense"),
        ({"uuid": "NET", "fixed_ip": 7}, "7"),
        ({"uuid": "NET", "fixed_ip": "10.9.0.1"}, "10.9.0.1"),
        ({"uuid": "NET", "fixed_ip": "10.1.0.1"}, "gateway"),
        ({"uuid": "NET", "fixed_ip": "fd00::1"}, "fd00::1"),
    ],
)
def test_what_is_unknown_or_invalid_is_named(net: Network, item: dict[str, Any], words: str) -> None:
    wanted = [{k: str(net.id) if v == "NET" else v for k, v in item.items()}]
    with pytest.raises(BadRequest, match=words):
        resolve_requested(US, wanted)


def test_others_networks_and_ports_are_unknown(net: Network) -> None:
    port = create_port(network_id=net.id, project_id=OURS)
    them = caller("member", project=THEIRS)
    for item in ({"uuid": str(net.id)}, {"port": str(port.id)}):
        with pytest.raises(BadRequest, match="could not be found"):
            resolve_requested(them, [item])


def test_a_port_in_use_is_a_conflict_and_one_without_an_address_is_refused(net: Network) -> None:
    with pytest.raises(Conflict, match="still in use"):
        resolve_requested(US, [{"port": str(boot(net)[0].id)}])
    bare = create_port(network_id=net.id, project_id=OURS, fixed_ips=[])
    with pytest.raises(BadRequest, match="requires a FixedIP"):
        resolve_requested(US, [{"port": str(bare.id)}])


def test_an_address_in_use_or_asked_for_twice_is_refused(net: Network) -> None:
    boot(net, fixed_ip="10.1.0.9")
    with pytest.raises(BadRequest, match=r"10\.1\.0\.9 is already in use"):
        resolve_requested(US, [{"uuid": str(net.id), "fixed_ip": "10.1.0.9"}])
    twice = [{"uuid": str(net.id), "fixed_ip": "10.1.0.10"}] * 2
    with pytest.raises(BadRequest, match="twice"):
        resolve_requested(US, twice)
    port = create_port(network_id=net.id, project_id=OURS)
    with pytest.raises(BadRequest, match="twice"):
        resolve_requested(US, [{"port": str(port.id)}] * 2)
    with pytest.raises(BadRequest, match="cannot be used with port"):
        resolve_requested(US, [{"port": str(port.id), "fixed_ip": "10.1.0.10"}])


def test_a_network_without_a_subnet_cannot_be_booted_on(db: None) -> None:
    bare = network()
    with pytest.raises(BadRequest, match="requires a subnet"):
        resolve_requested(US, [{"uuid": str(bare.id)}])


@pytest.mark.parametrize("wanted", ["nonsense", 5, {"uuid": "x"}, ["x"]])
def test_a_value_of_another_shape_is_refused_and_not_a_crash(db: None, wanted: Any) -> None:
    with pytest.raises(CloudError) as refused:
        resolve_requested(US, wanted)
    assert refused.value.status == 400
