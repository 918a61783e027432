"""Stop, start, hard reboot and a new password on a real guest, by the unmodified `openstack` client."""

from __future__ import annotations

import pytest

from tests.running_cloud import RunningCloud, virsh, wait_for

pytestmark = [pytest.mark.wire, pytest.mark.real]
NAME = "power-vm"


@pytest.fixture(scope="module")
def server_id(cloud: RunningCloud) -> str:
    made = cloud.openstack_json(
        *("server", "create", "--image", "tiny", "--flavor", "m1.nano", "--network", "shared", "--wait", NAME)
    )
    guest_says(cloud, "BOOT-OK", 1)
    return str(made["id"])


def guest_says(cloud: RunningCloud, words: str, times: int) -> str:
    """The console once `words` stand on it so many times."""

    def console() -> str | None:
        text = cloud.openstack("console", "log", "show", NAME)
        return text if text.count(words) >= times else None

    return str(wait_for(f"{words!r} on the console, {times} times", console, timeout=150))


def status_becomes(cloud: RunningCloud, server_id: str, status: str) -> None:
    wait_for(f"{status} of {NAME}", lambda: cloud.status_of(server_id) == status, timeout=180)


def test_stop_asks_the_guest_and_keeps_all_but_its_run(cloud: RunningCloud, server_id: str) -> None:
    cloud.openstack("server", "stop", NAME)
    status_becomes(cloud, server_id, "SHUTOFF")
    assert server_id in virsh("list", "--all", "--uuid")
    assert server_id not in virsh("list", "--uuid")
    assert "tiny: power button" in cloud.openstack("console", "log", "show", NAME)
    assert (cloud.state_dir / "instances" / server_id / "disk").exists()
    refused = cloud.openstack("server", "stop", NAME, status=1)
    assert "while it is in vm_state stopped" in refused


def test_start_heals_a_definition_that_was_lost(cloud: RunningCloud, server_id: str) -> None:
    virsh("undefine", f"instance-{server_id}")
    assert server_id not in virsh("list", "--all", "--uuid")
    cloud.openstack("server", "start", NAME)
    status_becomes(cloud, server_id, "ACTIVE")
    assert "boots=2" in guest_says(cloud, "BOOT-OK", 2)


def test_a_hard_reboot_makes_the_domain_anew(cloud: RunningCloud, server_id: str) -> None:
    before = virsh("domid", f"instance-{server_id}")
    cloud.openstack("server", "reboot", "--hard", "--wait", NAME)
    status_becomes(cloud, server_id, "ACTIVE")
    assert virsh("domid", f"instance-{server_id}") != before
    assert "boots=3" in guest_says(cloud, "BOOT-OK", 3)


def test_the_guests_agent_sets_the_password_and_nobody_keeps_it(cloud: RunningCloud, server_id: str) -> None:
    channel = f"instance-{server_id}"
    wait_for("the guest's agent", lambda: "state='connected'" in virsh("dumpxml", channel), timeout=60)
    cloud.openstack("server", "set", "--password", "correct-horse", NAME)
    guest_says(cloud, "tiny: password of root set", 1)
    status_becomes(cloud, server_id, "ACTIVE")
    assert cloud.count("workflow.Action", parameters__password__isnull=False) == 0
    kept = [path for path in cloud.state_dir.rglob("*") if path.is_file() and path.stat().st_size < 10_000_000]
    assert [path for path in kept if b"correct-horse" in path.read_bytes()] == []


def test_a_locked_server_and_an_image_without_an_agent_refuse(cloud: RunningCloud, server_id: str) -> None:
    cloud.openstack("server", "lock", "--reason", "mine", NAME)
    assert cloud.server(server_id)["locked_reason"] == "mine"
    cloud.openstack("server", "unlock", NAME)
    cloud.openstack("server", "delete", "--wait", NAME)
    assert server_id not in virsh("list", "--all", "--uuid")
