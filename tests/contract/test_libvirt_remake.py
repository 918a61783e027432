"""What the host steps of rebuild and rescue do to a real guest: its boot counter says from which disk it came.

One booted guest is shared; each test leaves it running on its own disk. The times are printed (`-s` shows them).
"""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hypervisor.driver import BaseImage
from hypervisor.errors import HypervisorFailed
from hypervisor.spec import GuestSpec, Maker, digest, encode
from hypervisor.steps import HOST_STEPS, StepHost
from tests.contract import specs
from tests.contract.hosts import LibvirtHost, load_host
from tests.contract.tiny_guest import TinyGuest, running, wait_for

pytestmark = pytest.mark.real
STEPS = {step.name: step for step in HOST_STEPS}


@pytest.fixture(scope="module")
def tiny(real_libvirt: str) -> Iterator[TinyGuest]:
    with tempfile.TemporaryDirectory(prefix="kn-remake-", ignore_cleanup_errors=True) as made:
        os.chmod(made, 0o711)
        host = load_host("libvirt", Path(made))
        assert isinstance(host, LibvirtHost)
        try:
            with running(host) as guest:
                yield guest
        finally:
            host.clean()


def carry_out(tiny: TinyGuest, guest: GuestSpec, action: str, name: str, *, undo: bool = False) -> None:
    """One host step as its executor would, on a guest that was on; the base image is in the cache."""
    made = tiny.host.config.instances_dir / tiny.id / "made.json"
    base = re.findall(r'"base": "([^"]+)"', made.read_text())[0]
    fetched = dataclasses.asdict(BaseImage(path=base, disk_format="qcow2", virtual_size_bytes=32 * specs.MIB))
    step = StepHost(
        target_id=tiny.id,
        inputs={"was_on": True, "runs": True, "stop_seconds": 20},
        outputs={"fetch_image": fetched, "fetch_rescue_image": fetched},
        driver=tiny.host.driver,
        maker=Maker(action_id=action, digest=digest(encode(guest))),
        progress=specs.Listener(),
        guest=guest,
    )
    work: Any = STEPS[name].undo if undo else STEPS[name].do
    work(step)


@contextmanager
def timed(verb: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    print(f"\ntime of {verb}: {time.monotonic() - begun:.2f} s")


def wait_for_line(tiny: TinyGuest, pattern: str, after: int) -> re.Match[str]:
    """The first match beyond `after` characters of the console."""
    wait_for(pattern, lambda: re.search(pattern, tiny.console()[after:]), tiny.console)
    found = re.search(pattern, tiny.console()[after:])
    assert found is not None
    return found


def test_a_new_guest_that_does_not_start_gives_the_old_disk_back_with_its_counter(tiny: TinyGuest) -> None:
    boots = tiny.boots()
    lost = dataclasses.replace(tiny.spec, nics=(specs.nic(specs.network()),))  # of a network that is not here
    action = "rebuild-1"
    carry_out(tiny, lost, action, "stop_guest")
    carry_out(tiny, lost, action, "replace_disk")
    with pytest.raises(HypervisorFailed, match="Network not found"):
        carry_out(tiny, lost, action, "settle_guest")
    for name in ("settle_guest", "replace_disk", "stop_guest"):
        carry_out(tiny, tiny.spec, action, name, undo=True)
    tiny.wait_for_boot(boots + 1)
    files = [path.name for path in (tiny.host.config.instances_dir / tiny.id).iterdir()]
    assert not [name for name in files if name.startswith(("aside", "forgotten"))]


def test_a_rescued_guest_sees_its_disk_as_vdb_and_goes_on_from_it_afterwards(tiny: TinyGuest) -> None:
    boots, said = tiny.boots(), len(tiny.console())
    assert tiny.spec.config_drive is not None
    told = dataclasses.replace(
        tiny.spec.config_drive, meta_data={**tiny.spec.config_drive.meta_data, "admin_pass": "secret-1"}
    )
    rescued = dataclasses.replace(tiny.spec, rescue=tiny.spec.image, config_drive=told)
    action = "rescue-1"
    carry_out(tiny, rescued, action, "stop_guest")
    with timed("rescue, from off to started"):
        for name in ("create_rescue_disk", "settle_guest"):
            carry_out(tiny, rescued, action, name)
    own, rescue = tiny.id[:20], f"rescue-{tiny.id}"[:20]
    wait_for_line(tiny, f"disk vda .*serial={rescue}", said)
    wait_for_line(tiny, f"disk vdb .*serial={own}", said)
    assert wait_for_line(tiny, r"boots=(\d+)", said)[1] == "1", "it is the rescue disk that counts"
    wait_for_line(tiny, "admin password given", said)
    wait_for_line(tiny, "BOOT-OK", said)

    action = "unrescue-1"
    carry_out(tiny, tiny.spec, action, "stop_guest")
    with timed("unrescue, from off to started"):
        for name in ("settle_guest", "remove_rescue_disk"):
            carry_out(tiny, tiny.spec, action, name)
    tiny.wait_for_boot(boots + 1)
    assert "disk vdb" not in tiny.console().rpartition(f"boots={boots + 1} ")[2]


def test_a_rebuilt_guest_counts_from_one_and_its_old_disk_is_gone(tiny: TinyGuest) -> None:
    said = len(tiny.console())
    action = "rebuild-2"
    with timed("rebuild, the host's part"):
        for name in ("stop_guest", "replace_disk", "settle_guest", "forget_old_disk"):
            carry_out(tiny, tiny.spec, action, name)
    assert wait_for_line(tiny, r"boots=(\d+)", said)[1] == "1"
    wait_for_line(tiny, "BOOT-OK", said)
    files = sorted(path.name for path in (tiny.host.config.instances_dir / tiny.id).iterdir())
    assert files == ["console.log", "disk", "disk.config", "made.json"]
