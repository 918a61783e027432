"""What a newcomer does with the unmodified `openstack` client, on a real guest, and what is left afterwards."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.running_cloud import RunningCloud, virsh, wait_for

pytestmark = [pytest.mark.wire, pytest.mark.real]


@pytest.fixture(scope="module")
def server(cloud: RunningCloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One booted server, shared by the tests of this module."""
    image = cloud.state_dir / "tiny" / "tiny.qcow2"
    public_key = tmp_path_factory.mktemp("keys") / "key.pub"
    user_data = public_key.parent / "user-data"
    user_data.write_text("#!/bin/sh\necho user-data says hello\n")
    key = public_key.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", key], check=True)
    cloud.openstack(
        "image", "create", "--file", str(image), "--disk-format", "qcow2", "--container-format", "bare", "im1"
    )
    cloud.openstack("flavor", "create", "--ram", "128", "--disk", "1", "--vcpus", "1", "f1")
    cloud.openstack("keypair", "create", "--public-key", str(public_key), "k1")
    made = cloud.openstack_json(
        *("server", "create", "--image", "im1", "--flavor", "f1", "--network", "shared", "--key-name", "k1"),
        *("--user-data", str(user_data), "--property", "colour=blue", "--wait", "vm1"),
    )
    return {"id": made["id"], "status": made["status"]}


def address_of(cloud: RunningCloud, server_id: str) -> str:
    addresses = cloud.server(server_id)["addresses"]
    return str(addresses["shared"][0]["addr"])


def console_of(cloud: RunningCloud) -> str:
    return cloud.openstack("console", "log", "show", "vm1")


def test_create_waits_until_the_server_is_active(server: dict[str, str]) -> None:
    assert server["status"] == "ACTIVE"


def test_list_and_show_agree(cloud: RunningCloud, server: dict[str, str]) -> None:
    (listed,) = cloud.openstack_json("server", "list")
    assert (listed["ID"], listed["Name"], listed["Status"]) == (server["id"], "vm1", "ACTIVE")
    shown = cloud.openstack_json("server", "show", "vm1")
    assert shown["id"] == server["id"]
    assert shown["OS-EXT-STS:power_state"] in (1, "Running")
    assert shown["properties"] == {"colour": "blue"}
    assert address_of(cloud, server["id"]) in str(shown["addresses"])


def test_libvirt_runs_the_domain(cloud: RunningCloud, server: dict[str, str]) -> None:
    assert server["id"] in virsh("list", "--uuid")
    assert (cloud.state_dir / "instances" / server["id"] / "disk").exists()


def test_the_guest_boots_and_reads_its_metadata(cloud: RunningCloud, server: dict[str, str]) -> None:
    log = wait_for("the boot banner", lambda: "BOOT-OK" in (text := console_of(cloud)) and text, timeout=300)
    assert "metadata=configdrive" in log
    assert f"uuid={server['id']}" in log
    assert "ssh keys 1" in log
    wait_for("user data to run", lambda: "user-data says hello" in console_of(cloud), timeout=120)


def test_the_guest_has_exactly_its_address_and_answers_there(cloud: RunningCloud, server: dict[str, str]) -> None:
    address = address_of(cloud, server["id"])
    wait_for("the guest's own word on its address", lambda: f"eth0={address}/" in console_of(cloud), timeout=300)
    ping = ["ping", "-c", "1", "-W", "2", address]
    wait_for("an answer to ping", lambda: subprocess.run(ping, capture_output=True).returncode == 0, timeout=60)


def test_the_event_list_names_the_create(cloud: RunningCloud, server: dict[str, str]) -> None:
    (event,) = cloud.openstack_json("server", "event", "list", "vm1")
    assert event["Action"] == "create"
    shown = cloud.openstack_json("server", "event", "show", "vm1", event["Request ID"])
    names = [step["event"] for step in shown["events"]]
    assert names[-4:] == ["fetch_image", "create_disk", "plug_ports", "start_guest"]
    assert {step["result"] for step in shown["events"]} == {"Success"}


def test_every_read_of_a_newcomer_ends_well(cloud: RunningCloud, server: dict[str, str]) -> None:
    for command in (
        "token issue|project list|user list|role list|role assignment list --names|domain list|service list",
        "endpoint list|catalog list|image list|image show im1|network list|network show shared|subnet list|port list",
        "flavor list|flavor show f1|keypair list|keypair show k1|limits show --absolute|quota show --compute",
        "compute service list|hypervisor list|hypervisor list --long|hypervisor stats show",
        "availability zone list --compute",
        "extension list --compute|versions show|server list --all-projects --long",
        "aggregate list|server group list|security group list",
    ):
        for line in command.split("|"):
            cloud.openstack(*line.split())


def test_the_image_comes_back_as_it_went(cloud: RunningCloud, server: dict[str, str], tmp_path: Path) -> None:
    saved = tmp_path / "saved.qcow2"
    cloud.openstack("image", "save", "--file", str(saved), "im1")
    assert saved.read_bytes() == (cloud.state_dir / "tiny" / "tiny.qcow2").read_bytes()


def test_projects_users_and_roles_are_made_and_used(cloud: RunningCloud, server: dict[str, str]) -> None:
    cloud.openstack("project", "create", "p1")
    cloud.openstack("user", "create", "--project", "p1", "--password", "x1y2z3", "u1")
    cloud.openstack("role", "add", "--project", "p1", "--user", "u1", "member")
    as_u1 = ("--os-username", "u1", "--os-password", "x1y2z3", "--os-project-name", "p1")
    assert cloud.openstack(*as_u1, "server", "list", "-f", "value").strip() == ""
    assert "No Server found" in cloud.openstack(*as_u1, "server", "show", server["id"], status=1)


def test_a_server_that_fits_nowhere_says_why(cloud: RunningCloud, server: dict[str, str]) -> None:
    cloud.openstack("flavor", "create", "--ram", "99999999", "--disk", "1", "--vcpus", "1", "huge")
    cloud.openstack("quota", "set", "--ram", "-1", "admin")
    create = ("server", "create", "--image", "im1", "--flavor", "huge", "--network", "shared", "--wait", "vmhuge")
    cloud.openstack(*create, status=1)
    fault = cloud.openstack_json("server", "show", "vmhuge")["fault"]
    assert "No valid host" in fault["message"]
    assert "99999999" in str(fault), "the fault does not say what was needed"
    cloud.openstack("server", "delete", "--wait", "vmhuge")


def test_after_the_delete_nothing_is_left(cloud: RunningCloud, server: dict[str, str]) -> None:
    address = address_of(cloud, server["id"])
    cloud.openstack("server", "delete", "--wait", "vm1")
    assert server["id"] not in virsh("list", "--all", "--uuid")
    assert not (cloud.state_dir / "instances" / server["id"]).exists()
    networks = [name for name in virsh("net-list", "--all", "--name").split() if name.startswith("kn-")]
    for name in networks:
        assert f"{address}/" not in virsh("net-dhcp-leases", name)
        assert f"'{address}'" not in virsh("net-dumpxml", name)
    assert cloud.count("networks.Port") == 0
    assert cloud.count("scheduling.Allocation") == 0
    assert cloud.openstack("server", "list", "-f", "value").strip() == ""
