"""What a driver promises, in small facets. A driver is an object with one attribute per facet it has.

Every call is idempotent: probe, act, probe. What is made carries its `Maker`, and "made already" means made by the
same action from the same inputs; an undo removes only what its action made (rule R10). A facet that a driver lacks is
None, and an operation that needs it is refused up front. Calls may be made from several threads at once.
The contract suite (`tests/contract`) runs the same tests over every driver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hypervisor.migration import DiskCopy, MigrationOrder, MigrationSource, Wish
from hypervisor.spec import GuestSpec, GuestState, HostInventory, ImageSource, Maker, NicSpec


class Progress(Protocol):
    """How long work tells that it lives. Raises `hypervisor.errors.Superseded` when a higher turn was seen."""

    lock_fd: int
    """File descriptor of the target's lock; child processes must inherit it (`pass_fds`), rule R3. -1: none."""

    def __call__(
        self, percent: int | None = None, message: str = "", details: dict[str, Any] | None = None
    ) -> None: ...


@dataclass(frozen=True)
class BaseImage:
    """An image in the host's cache, checked and inspected."""

    path: str
    disk_format: str
    virtual_size_bytes: int


class Images(Protocol):
    """The host's cache of base images, shared by all its guests."""

    def fetch(self, image: ImageSource, progress: Progress) -> BaseImage:
        """After it the base is in the cache: downloaded once however many ask, checked against size and SHA-512,
        inspected (declared format, no backing or data file), moved into place atomically. A cached file whose size or
        stamp changed is checked again, and a damaged one is fetched afresh.

        Errors: ImageUnreachable, ImageRefused, NoSpace.
        """


class Disks(Protocol):
    """The instance's directory and the files in it."""

    def create(self, guest: GuestSpec, base: BaseImage, maker: Maker, progress: Progress) -> None:
        """After it `disk` is a qcow2 overlay on `base` of the flavor's size (of the image's when that is 0), and
        `disk.config` holds the config drive when the guest has one. A disk left by another action, or by the same
        action from other inputs, is replaced.

        Errors: DiskTooSmall, NoSpace, HypervisorFailed.
        """

    def delete(self, instance_id: str, maker: Maker | None) -> None:
        """After it the instance's directory is gone; with a `maker`, only if that action made it. None: in any case."""


class Interfaces(Protocol):
    """Networks of the host and the guest's places on them."""

    def plug(self, guest: GuestSpec, maker: Maker, progress: Progress) -> None:
        """After it every network of the guest exists and runs here, and its DHCP answers each of the guest's MACs with
        exactly its address. Errors: NetworkFailed."""

    def unplug(self, instance_id: str, nics: tuple[NicSpec, ...], maker: Maker | None) -> None:
        """After it no DHCP entry or lease of these ports is left here; a network without any port goes too. With a
        `maker`, only what that action made."""


class Lifecycle(Protocol):
    """The guest itself."""

    def start(self, guest: GuestSpec, maker: Maker, progress: Progress, *, replaces: bool = False) -> None:
        """After it the domain is defined from `guest` and runs, autostart off. A domain of that id that another action
        made is an error, or with `replaces` is ended and defined anew; one that this action made from the same inputs
        and that runs is left as it is. Errors: HypervisorFailed."""

    def stop(self, instance_id: str, timeout_seconds: float, progress: Progress) -> None:
        """After it the guest does not run; its definition and its disks stay. It is asked by ACPI, and ended when it
        does not go off in `timeout_seconds`; 0 ends it at once. A guest that is not there is off.
        Errors: HypervisorFailed."""

    def remove(self, instance_id: str, maker: Maker | None) -> None:
        """After it no domain of that id runs or is defined; with a `maker`, only if that action made it."""

    def settle(self, instance_id: str) -> None:
        """Ends or joins a hypervisor job that an interrupted worker left behind on this guest."""

    def state(self, instance_id: str) -> GuestState | None:
        """The guest as it is now; None when there is none."""

    def guests(self) -> list[GuestState]:
        """Every guest of this cloud on this host."""


class Migration(Protocol):
    """A guest that runs goes to another host and goes on there. `describe`, `send` and `leave` are the source's part,
    `check`, `prepare`, `expect` and `arrive` the destination's."""

    def describe(self, instance_id: str) -> MigrationSource:
        """What a destination must know of the guest that is on here. Errors: GuestNotFound."""

    def check(self, guest: GuestSpec, source: MigrationSource, *, is_shared: bool) -> None:
        """Nothing, when this host can take the guest over. Errors: MigrationRefused, with the reason."""

    def prepare(
        self, guest: GuestSpec, source: MigrationSource, base: BaseImage | None, maker: Maker, progress: Progress
    ) -> DiskCopy:
        """After it an empty disk of the source's size is here for the guest's to be copied into, on `base` if the
        source's stands on that; and its config drive, made anew. Says what has to be copied. Errors: NoSpace."""

    def expect(self, instance_id: str, source: MigrationSource, *, is_shared: bool) -> None:
        """After it no guest of that id is here, so that it may come, and what its disk stands on is. Errors:
        MigrationRefused, when a guest of that id is on here, or the shared disk's base is not."""

    def turn_away(self, instance_id: str, maker: Maker) -> None:
        """After it nothing of a guest that was on its way here under this action is left. One that has arrived is not
        touched. Errors: MigrationFailed, when it has."""

    def send(self, guest: GuestSpec, order: MigrationOrder, maker: Maker, progress: Progress) -> None:
        """After it the guest is on at the destination, carries `maker` there, and is gone here. On an error it is on
        here as before. Progress has `details`: the wire's memory_* and disk_* counters, in bytes. Wishes are followed.
        Errors: MigrationFailed, MigrationAborted, MigrationTimedOut."""

    def has_moved(self, instance_id: str, order: MigrationOrder, maker: Maker) -> bool:
        """Whether the guest is on at the destination, and so no longer here. Asked at the destination itself, a yes is
        final and a no is not: it may still be on its way. Errors: HypervisorUnreachable, when nobody can say."""

    def arrive(self, guest: GuestSpec, order: MigrationOrder, maker: Maker) -> dict[str, Any]:
        """After it the guest that came is defined here as any other, autostart off, and paused only if it is to be.
        Gives what the hypervisor measured: `downtime_ms`, `total_ms`, `memory_bytes`, as far as it knows."""

    def leave(self, instance_id: str, nics: tuple[NicSpec, ...], *, is_shared: bool) -> None:
        """After it nothing of a guest that has gone is left here but, on shared storage, its files."""

    def steer(self, instance_id: str, action_id: str, wish: Wish) -> bool:
        """Asks the migration that `action_id` is at work on to follow `wish`; says whether it was heard. Called from
        another process than `send`'s; returns in some seconds in any case."""


class Console(Protocol):
    """The guest's serial console log."""

    def output(self, instance_id: str, lines: int | None) -> str:
        """The last `lines` lines (None: all that is kept, at most 1 MiB). "" before the guest wrote any.
        Errors: GuestNotFound."""


class Inventory(Protocol):
    """What the host offers."""

    def read(self) -> HostInventory: ...


class Events(Protocol):
    """The hypervisor's own events."""

    def subscribe(self, handler: Callable[[GuestState, str], None]) -> None:
        """Calls `handler(state, event)` from a thread of the driver for each change of a guest of this cloud; event is
        one of `started stopped shutdown crashed suspended resumed defined undefined`. Never raises into the driver."""


class Driver(Protocol):
    """All facets of one host. `name` is the word in settings ("libvirt", "simulated")."""

    name: str
    images: Images
    disks: Disks
    interfaces: Interfaces
    lifecycle: Lifecycle
    migration: Migration | None
    console: Console
    inventory: Inventory
    events: Events | None

    def close(self) -> None:
        """Ends threads and connections."""
