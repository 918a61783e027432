"""What settings of the control plane decide, on real hosts: how long a guest may take to go off, who confirms a resize,
what becomes of a guest that somebody else started, and of a live migration that takes too long."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.rig.actions import failed_with, last_action
from tests.rig.moves import begin_slowly, everywhere, measured, only
from tests.rig.rig import BOOTED, DEAF, TICK, Rig
from tests.running_cloud import wait_for

pytestmark = [pytest.mark.rig, pytest.mark.real]

Boot = Callable[..., str]


class TestHasty:
    """Nobody is waited for long; what runs is taken for wanted."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def hasty(cls, rig: Rig) -> Iterator[None]:
        with rig.setting(
            SOFT_REBOOT_TIMEOUT="3",
            RESIZE_CONFIRM_WINDOW="1",
            UNEXPECTED_GUEST_POLICY="adopt",
            LIVE_MIGRATION_COMPLETION_TIMEOUT="2",
        ):
            yield

    def test_a_deaf_guest_is_rebooted_hard(self, rig: Rig, boot: Boot) -> None:
        server = boot("deaf", "h1", user_data=DEAF)
        rig.guest_says(server, "deaf now")
        rig.openstack("server", "reboot", "--soft", server)
        rig.wait_status(server, "ACTIVE")
        rig.guest_says(server, r"boots=2\b")
        assert "power button" not in rig.console(server)
        assert rig.where(server) == {"h1": "running"}
        assert rig.invariants() == []

    def test_a_resize_on_its_own_host_confirms_itself(self, rig: Rig, boot: Boot) -> None:
        server = boot("grown", "h3")
        with only(rig, "h3"):
            rig.openstack("server", "resize", "--flavor", "m1.micro", server)
            wait_for("its confirmation", lambda: last_action(rig, server)["action"] == "confirmResize")
        shown = rig.wait_status(server, "ACTIVE")
        assert (rig.host_of(server), shown["flavor"]["original_name"]) == ("h3", "m1.micro")
        assert rig.where(server) == {"h3": "running"}
        assert "<memory unit='KiB'>196608<" in rig.virsh("h3", "dumpxml", server)
        assert everywhere(rig, server) == {"h3": [server]}
        assert rig.allocations()[server] == {"h3": (2, 192, 2)}
        rig.guest_says(server, r"boots=2\b")
        assert rig.invariants() == []

    def test_a_guest_that_somebody_started_is_taken_in(self, rig: Rig, boot: Boot) -> None:
        server = boot("adopted", "h2", is_booted=False)
        rig.openstack("server", "stop", server)
        rig.wait_status(server, "SHUTOFF")
        rig.virsh("h2", "start", server)
        rig.wait_status(server, "ACTIVE")
        assert last_action(rig, server)["action"] == "stop", "nobody did anything to it"
        assert rig.where(server) == {"h2": "running"}

    def test_a_live_migration_that_takes_too_long_is_aborted(self, rig: Rig, boot: Boot) -> None:
        server = boot("slow", "h1")
        uptime = rig.uptime(server)
        begin_slowly(rig, server, "h1", "h2")
        assert "it took longer than" in failed_with(rig, server)
        rig.wait_status(server, "ACTIVE")
        assert (rig.host_of(server), rig.where(server)) == ("h1", {"h1": "running"})
        assert rig.uptime(server) > uptime
        assert rig.invariants() == []


class TestPushing:
    """A live migration gets there, whatever the guest pays for it; what runs is none of the cloud's business."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def pushing(cls, rig: Rig) -> Iterator[None]:
        with rig.setting(
            UNEXPECTED_GUEST_POLICY="ignore",
            LIVE_MIGRATION_COMPLETION_TIMEOUT="2",
            LIVE_MIGRATION_TIMEOUT_ACTION="force_complete",
            LIVE_MIGRATION_PERMIT_POST_COPY="true",
        ):
            yield

    def test_a_live_migration_that_takes_too_long_is_forced_by_post_copy(self, rig: Rig, boot: Boot) -> None:
        server = boot("pushed", "h1")
        uptime = rig.uptime(server)
        log = rig.host("h1").directory / "logs" / "compute.log"
        said = len(log.read_text())
        begin_slowly(rig, server, "h1", "h2")
        rig.wait_status(server, "ACTIVE")
        assert "switched to post-copy" in log.read_text()[said:]
        assert rig.where(server) == {"h2": "running"}
        assert rig.uptime(server, "h2") > uptime
        assert [row["status"] for row in measured(rig, server)] == ["completed"]
        assert rig.boots(server) == 1
        assert rig.invariants() == []

    def test_a_guest_that_somebody_started_is_left_alone(self, rig: Rig, boot: Boot) -> None:
        server = boot("ignored", "h2", is_booted=False)
        rig.openstack("server", "stop", server)
        rig.wait_status(server, "SHUTOFF")
        mark = len(rig.console(server))
        rig.virsh("h2", "start", server)
        wait_for("it to be seen", lambda: rig.server(server)["OS-EXT-STS:power_state"] == 1, 60)
        rig.guest_says(server, BOOTED, after=mark)
        rig.guest_says(server, TICK, after=len(rig.console(server)))
        assert rig.status_of(server) == "SHUTOFF"
        assert rig.where(server) == {"h2": "running"}
        assert last_action(rig, server)["action"] == "stop"
