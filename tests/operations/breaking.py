"""Steps that fail on order, and what an instance's files are: for tests of what an undo puts back."""

from __future__ import annotations

import dataclasses
from typing import Any

from cloud.errors import Abort
from hypervisor.steps import StepHost
from tests.operations.scenarios import World


def files_of(world: World, host: str | None = None) -> dict[str, bytes]:
    """Every file of the instance on a host (its own), with its content; what the guest wrote is left out."""
    directory = world.box.configs[host or world.instance().host].instances_dir / str(world.instance_id)
    files = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "console.log"}


def break_host_step(world: World, name: str, *, after: bool) -> None:
    """Makes a host step fail for good, before its effect or after it."""

    def broken(work: Any) -> Any:
        def do(step: StepHost) -> Any:
            if after:
                work(step)
            raise Abort("broken on purpose")

        return do

    for executor in world.box.executors.values():
        step = executor.steps[name]
        executor.steps[name] = dataclasses.replace(step, do=broken(step.do))
