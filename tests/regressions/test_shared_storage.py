"""Bugs of hosts that share one instances directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.states import ActionState, EventState
from scheduling.models import ComputeNode
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.conftest import box  # noqa: F401
from tests.operations.scenarios import World

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_debt_leaves_the_disk_that_the_same_boot_made_elsewhere_on_shared_storage(
    tmp_path: Path,
    box: CloudInABox,  # noqa: F811
) -> None:
    """Found by chaos: a boot's host stood still, the boot went on on the host beside it, which shares its storage, and
    when the first one was back it paid its debt by removing the running guest's disk: its maker was the same action."""
    (tmp_path / "h3").mkdir()
    (tmp_path / "h3" / "instances").symlink_to(tmp_path / "h1" / "instances")
    box.add_host("h3")
    world = World(box)
    ComputeNode.objects.exclude(host="h1").update(is_schedulable=False)
    world.boot()
    box.step()
    for _ in range(3):  # fetch_image, create_disk, plug_ports
        box.step()
    ComputeNode.objects.filter(host="h3").update(is_schedulable=True)
    box.power_off("h1")
    box.recover()
    action = Action.objects.get(target_id=world.instance_id)
    assert (action.state, world.instance().host) == (ActionState.SUCCEEDED, "h3")
    disk = box.configs["h3"].instances_dir / str(world.instance_id) / "disk"
    assert disk.exists()
    box.power_on("h1")
    box.recover()
    assert not ActionEvent.objects.filter(state=EventState.OWED).exists()
    assert disk.exists(), "h1 paid its debt with the disk of h3"
