"""Creating servers: what is written, what the reply says, and what only some may ask."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cloud.workflow.models import Action
from instances.models import Flavor, FlavorAccess, Instance, KeyPair
from instances.states import VmState
from scheduling.models import ComputeNode
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, Ground, at, make_flavor, make_image, make_network, project_of

SCRIPT = base64.b64encode(b"#!/bin/sh\n").decode()


def test_a_create_writes_the_instance_and_its_action_and_answers_202(ann: Wire, ground: Ground) -> None:
    reply = ground.boot(ann, metadata={"a": "b"}, user_data=SCRIPT, tags=["x", "a"], description="d")
    assert reply.status_code == 202, reply.content
    server = reply.json()["server"]
    assert set(server) == {"id", "links", "OS-DCF:diskConfig", "security_groups", "adminPass"}
    assert len(server["adminPass"]) == 12
    assert reply["Location"] == server["links"][0]["href"]
    row = Instance.objects.get()
    assert str(row.pk) == server["id"]
    assert (row.vm_state, row.task_state, row.host) == ("building", "scheduling", "")
    assert (row.flavor_id, row.vcpus, row.memory_mib, row.disk_gib) == ("small", 2, 512, 10)
    assert (row.image_id, row.image_name) == (str(ground.image.pk), "tiny")
    assert row.requested_networks == [{"network_id": str(ground.network.pk)}]
    assert (row.metadata, row.tags, row.description, row.user_data) == ({"a": "b"}, ["a", "x"], "d", SCRIPT)
    assert row.config_drive
    assert row.security_groups == ["default"]
    action = Action.objects.get()
    assert (action.operation, action.target_id, action.state, action.turn) == ("boot", row.pk, "PENDING", 1)
    assert action.request_id == reply["X-Openstack-Request-Id"]
    assert action.project_id == project_of(ann)


def test_the_create_is_published_when_its_transaction_commits(
    ann: Wire, ground: Ground, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        assert ground.boot(ann).status_code == 202
    assert callbacks


def test_many_are_created_with_numbered_names_and_one_reservation(ann: Wire, ground: Ground) -> None:
    reply = ground.boot(ann, min_count=2, max_count=3, return_reservation_id=True)
    assert reply.status_code == 202
    rows = list(Instance.objects.order_by("launch_index"))
    assert [row.display_name for row in rows] == ["web-1", "web-2", "web-3"]
    assert [row.hostname for row in rows] == ["web-1", "web-2", "web-3"]
    assert {row.reservation_id for row in rows} == {reply.json()["reservation_id"]}
    assert re.fullmatch(r"r-[a-z0-9]{8}", rows[0].reservation_id)
    assert Action.objects.count() == 3


def test_max_count_is_min_count_when_it_is_left_out(ann: Wire, ground: Ground) -> None:
    assert ground.boot(ann, min_count=2).status_code == 202
    assert Instance.objects.count() == 2


def test_the_name_may_be_long_and_numbered_still_fits(ann: Wire, ground: Ground) -> None:
    assert ground.boot(ann, name="x" * 255, max_count=2).status_code == 202
    assert {len(row.display_name) for row in Instance.objects.all()} == {255}
    assert {len(row.hostname) for row in Instance.objects.all()} == {63}


@pytest.mark.parametrize(
    ("name", "hostname"),
    [("Web Server_1.x", "web-server-1-x"), ("--a--", "a"), ("ünïcode", "ncode")],
)
def test_the_hostname_is_made_of_the_name(ann: Wire, ground: Ground, name: str, hostname: str) -> None:
    assert ground.boot(ann, name=name).status_code == 202
    assert Instance.objects.get().hostname == hostname


def test_a_name_without_any_letter_gives_a_hostname_of_the_id(ann: Wire, ground: Ground) -> None:
    assert ground.boot(ann, name="日本").status_code == 202
    row = Instance.objects.get()
    assert row.hostname == f"server-{row.pk}"


def test_from_2_90_the_hostname_may_be_chosen(ann: Wire, ground: Ground) -> None:
    assert ground.boot(ann, version="2.89", hostname="chosen").status_code == 400
    assert ground.boot(ann, version="2.90", hostname="chosen").status_code == 202
    assert Instance.objects.get().hostname == "chosen"


def test_a_key_pair_is_copied_into_the_instance(ann: Wire, ground: Ground) -> None:
    user = ann.get("/identity/v3/auth/tokens", **{"X-Subject-Token": ann.token}).json()["token"]["user"]["id"]
    KeyPair.objects.create(user_id=user, name="k", public_key="ssh-ed25519 AAAA", fingerprint="f")
    assert ground.boot(ann, key_name="k").status_code == 202
    assert (Instance.objects.get().key_name, Instance.objects.get().key_data) == ("k", "ssh-ed25519 AAAA")


@pytest.mark.parametrize("networks", ["auto", "none", []])
def test_networks_may_be_auto_or_none_or_nothing_in_particular(ann: Wire, ground: Ground, networks: Any) -> None:
    assert ground.boot(ann, networks=networks).status_code == 202
    assert len(Instance.objects.get().requested_networks) == (0 if networks == "none" else 1)


def test_networks_may_be_left_out_before_2_37(ann: Wire, ground: Ground) -> None:
    assert ground.boot(ann, version="2.36", networks=None).status_code == 202
    assert ground.boot(ann, version="2.37", networks=None).status_code == 400


def test_an_address_may_be_asked_for(ann: Wire, ground: Ground) -> None:
    asked = [{"uuid": str(ground.network.pk), "fixed_ip": "10.1.0.77", "tag": "nic"}]
    assert ground.boot(ann, networks=asked).status_code == 202
    assert Instance.objects.get().requested_networks[0]["fixed_ip"] == "10.1.0.77"


def test_the_image_may_come_in_a_block_device_mapping_as_clients_send_it(ann: Wire, ground: Ground) -> None:
    device = {
        "uuid": str(ground.image.pk),
        "source_type": "image",
        "destination_type": "local",
        "boot_index": 0,
        "delete_on_termination": True,
    }
    assert ground.boot(ann, block_device_mapping_v2=[device]).status_code == 202
    assert ground.boot(ann, block_device_mapping_v2=[device], imageRef="").status_code == 202
    assert {row.image_id for row in Instance.objects.all()} == {str(ground.image.pk)}


@pytest.mark.parametrize("key", ["os:scheduler_hints", "OS-SCH-HNT:scheduler_hints"])
def test_scheduler_hints_are_kept_under_either_name(ann: Wire, ground: Ground, key: str) -> None:
    body = {**ground.server(), key: {"different_host": ["x"]}}
    assert ann.post(f"{API}/servers", body, **at("2.96")).status_code == 202
    assert Instance.objects.get().scheduler_hints == {"different_host": ["x"]}


def test_the_password_that_was_sent_is_the_one_in_the_reply(ann: Wire, ground: Ground) -> None:
    assert ground.boot(ann, adminPass="secret").json()["server"]["adminPass"] == "secret"


def test_the_config_drive_may_be_refused(ann: Wire, ground: Ground) -> None:
    assert ground.boot(ann, config_drive=False).status_code == 202
    assert not Instance.objects.get().config_drive


def test_a_flavor_without_disk_takes_an_image_of_any_size(ann: Wire, ground: Ground) -> None:
    make_flavor("diskless", disk_gib=0)
    assert ground.boot(ann, flavorRef="diskless").status_code == 202


def test_ipv6_access_addresses_are_normalised(ann: Wire, ground: Ground) -> None:
    key = ground.boot(ann, accessIPv6="FE80:0:0::1", accessIPv4="10.0.0.9").json()["server"]["id"]
    shown = ann.get(f"{API}/servers/{key}").json()["server"]
    assert (shown["accessIPv6"], shown["accessIPv4"]) == ("fe80::1", "10.0.0.9")


def test_a_private_flavor_serves_the_projects_that_were_given_it(ann: Wire, bob: Wire, ground: Ground) -> None:
    flavor = make_flavor("secret", is_public=False)
    FlavorAccess.objects.create(flavor=flavor, project_id=project_of(ann))
    assert ground.boot(ann, flavorRef="secret").status_code == 202
    assert ground.boot(bob, flavorRef="secret").status_code == 400


# --- placement --------------------------------------------------------------------------------------------------------


def node(host: str = "h1", zone: str = "east") -> ComputeNode:
    return ComputeNode.objects.create(host=host, hypervisor_hostname=f"{host}.example", zone=zone)


def test_a_zone_that_a_host_is_in_and_the_default_zone_are_known(ann: Wire, ground: Ground) -> None:
    node()
    for zone in ("east", "nova"):
        assert ground.boot(ann, availability_zone=zone).status_code == 202
    assert sorted(Instance.objects.values_list("requested_zone", flat=True)) == ["east", "nova"]


def test_an_admin_may_name_the_host_in_the_zone(admin: Wire, ann: Wire, ground: Ground) -> None:
    node()
    assert ground.boot(ann, availability_zone="east:h1").status_code == 403
    assert ground.boot(admin, availability_zone="east:h1").status_code == 202
    row = Instance.objects.get()
    assert (row.requested_zone, row.forced_host) == ("east", "h1")


def test_from_2_74_an_admin_may_name_host_and_hypervisor(admin: Wire, ann: Wire, ground: Ground) -> None:
    node()
    assert ground.boot(admin, version="2.73", host="h1").status_code == 400
    assert ground.boot(ann, host="h1").status_code == 403
    assert ground.boot(admin, host="h1", hypervisor_hostname="h1.example").status_code == 202
    row = Instance.objects.get()
    assert (row.forced_host, row.forced_hypervisor) == ("h1", "h1.example")


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "h9"},
        {"host": "h1", "hypervisor_hostname": "other"},
        {"availability_zone": "east:h1", "host": "h1"},
        {"availability_zone": "east:h9"},
        {"availability_zone": "a:b:c:d"},
    ],
)
def test_an_unknown_host_is_400(admin: Wire, ground: Ground, fields: dict[str, str]) -> None:
    node()
    assert ground.boot(admin, **fields).status_code == 400
    assert not Instance.objects.exists()


# --- who --------------------------------------------------------------------------------------------------------------


def test_a_reader_may_not_create(rita: Wire, ground: Ground) -> None:
    reply = ground.boot(rita)
    assert reply.status_code == 403
    assert "member" in reply.json()["forbidden"]["message"]
    assert not Instance.objects.exists()


# --- cost -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 10])
def test_a_create_costs_the_same_queries_however_many_are_made(ann: Wire, ground: Ground, count: int) -> None:
    Flavor.objects.update(vcpus=1)
    with CaptureQueriesContext(connection) as queries:
        assert ground.boot(ann, max_count=count).status_code == 202
    reads = [q["sql"] for q in queries if not q["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    # token, flavor, image, networks, subnets, project (locked), quotas, their classes, use, resizes, instances, actions
    assert len(reads) == 12, "\n".join(reads)
    assert Instance.objects.filter(vm_state=VmState.BUILDING).count() == count


def test_what_an_image_says_of_memory_and_disk_is_kept_by_the_flavor_that_has_it(ann: Wire, ground: Ground) -> None:
    image = make_image("exact", min_disk=10, min_ram=512, virtual_size=10 * 1024**3)
    assert ground.boot(ann, imageRef=str(image.pk)).status_code == 202


def test_with_two_networks_auto_is_ambiguous(ann: Wire, ground: Ground) -> None:
    make_network("second", "10.2.0.0/24")
    assert ground.boot(ann, networks="auto").status_code == 409
    assert not Instance.objects.exists()
