"""How a host step is declared: its role, its undo beside it or the reason why it has none, and its flags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hypervisor.driver import Driver, Progress
from hypervisor.spec import GuestSpec, Maker


class Role(StrEnum):
    """Who carries a step out."""

    CONDUCTOR = "conductor"  # the database, no libvirt
    SCHEDULER = "scheduler"  # the same, on a queue that may have workers of its own
    HOST = "host"  # the host of the instance
    SOURCE = "source"
    DESTINATION = "destination"
    EVERY = "every"  # each host that the operation names, one after the other


@dataclass(frozen=True)
class StepHost:
    """What a host step gets: the guest, the outputs of earlier steps, the driver, and who it makes things for."""

    target_id: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    driver: Driver
    maker: Maker
    progress: Progress
    guest: GuestSpec | None = field(default=None)
    unseal: Callable[[str], str] = field(default=str)  # opens what was sealed for this host (`hypervisor.sealed`)

    @property
    def keeps_files(self) -> bool:
        """Whether the target's files here are another host's by now, on storage that both share: an undo paid as
        a debt leaves them."""
        return bool(self.inputs.get("keeps_files"))

    def the_guest(self) -> GuestSpec:
        """The guest's spec; every order of a step that builds has one."""
        if self.guest is None:
            raise ValueError("the order has no guest spec")
        return self.guest


Work = Callable[[StepHost], dict[str, Any] | None]


@dataclass(frozen=True)
class HostStep:
    """One declared step.

    `ask` answers {"moved": bool} for a pivot (rule R5). `once`: the step cannot see its own effect, so it is never
    repeated (rule R10). `owed`: past the pivot, a host that is down does it when it is back, and the action does not
    wait for that (rule R8). `on_control`: the host's control process does it, however busy the other one is; it has two
    threads, so such a step takes seconds at most.
    """

    name: str
    role: Role
    do: Work
    undo: Work | None
    ask: Work | None
    no_undo: str
    cancellable: bool
    once: bool
    owed: bool = False
    on_control: bool = False

    def task_name(self, verb: str) -> str:
        """The Celery task of `verb` ("do", "undo", "ask", "fence"), as Flower and logs show it."""
        if verb == "undo" and self.undo is not None:
            return f"hypervisor.{self.undo.__name__}"
        if verb == "do":
            return f"hypervisor.{self.name}"
        return f"hypervisor.ask_{self.name}" if verb == "ask" else "hypervisor.fence"


def host_step(
    role: Role = Role.HOST,
    *,
    undo: Work | None = None,
    ask: Work | None = None,
    no_undo: str = "",
    cancellable: bool = False,
    once: bool = False,
    owed: bool = False,
    on_control: bool = False,
) -> Callable[[Work], HostStep]:
    """Declares the function below it as a step. It has an `undo`, or `no_undo` says why it needs none."""
    if (undo is None) == (no_undo == ""):
        raise ValueError("a step has either an undo or a reason for having none")

    def declare(work: Work) -> HostStep:
        return HostStep(work.__name__, role, work, undo, ask, no_undo, cancellable, once, owed, on_control)

    return declare
