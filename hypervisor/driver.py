"""What a driver promises, in small facets. A driver is an object with one attribute per facet it has.

Every call is idempotent: probe, act, probe. What is made carries its `Maker`, and "made already" means made by the
same action from the same inputs; an undo removes only what its action made (rule R10). A facet that a driver lacks is
None, and an operation that needs it is refused up front. Calls may be made from several threads at once.
The contract suite (`tests/contract`) runs the same tests over every driver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hypervisor.moves import AsideDisk, DiskOrigin
from hypervisor.spec import GuestSpec, GuestState, HostInventory, ImageSource, Maker, NicSpec


class Progress(Protocol):
    """How long work tells that it lives. Raises `hypervisor.errors.Superseded` when a higher turn was seen."""

    lock_fd: int
    """File descriptor of the target's lock; child processes must inherit it (`pass_fds`), rule R3. -1: none."""

    def __call__(self, percent: int | None = None, message: str = "") -> None: ...


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

    def define(self, guest: GuestSpec, maker: Maker, progress: Progress) -> None:
        """After it the domain is defined from `guest` and does not run, autostart off; one of that id that was there
        before is ended and gone. Errors: HypervisorFailed."""

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


class Moves(Protocol):
    """Disks that go to another host, or stay aside while a larger one is tried. The guest is off, except for
    `describe`. `peer` is the name of the host that set the disk aside; "": its storage is this host's own."""

    def describe(self, instance_id: str) -> DiskOrigin:
        """What the system disk is and what it stands on; reads only, also while the guest runs.
        Errors: DiskLost, DiskUnmovable."""

    def bring_base(self, image: ImageSource, origin: DiskOrigin, peer: str, progress: Progress) -> BaseImage | None:
        """After it the base that `origin` stands on is in this host's cache, checked: found there, fetched as `image`
        when that is the one and has a `url`, else read from the peer. None for a disk that stands on nothing.
        Errors: as `Images.fetch`, PeerUnreachable."""

    def set_aside(self, instance_id: str, action_id: str, *, hashes: bool, progress: Progress) -> AsideDisk:
        """After it the instance's directory is kept as that action's; gives its disk, with its SHA-256 if `hashes`.
        Errors: DiskLost."""

    def check_aside(self, instance_id: str, action_id: str) -> None:
        """Changes nothing. Errors: DiskLost, when that action keeps no disk here."""

    def put_back(self, instance_id: str, action_id: str) -> bool:
        """After it what that action kept is the instance's directory again; False when it kept nothing."""

    def bring_disk(
        self,
        guest: GuestSpec,
        aside: AsideDisk,
        base: BaseImage | None,
        peer: str,
        maker: Maker,
        progress: Progress,
    ) -> None:
        """After it the instance's directory here, made by `maker`, holds the disk that was set aside, verified, on
        `base`, grown to the flavor's size; and a config drive made anew. What was set aside is as it was.
        Errors: DiskLost, CopyDamaged, PeerUnreachable, DiskTooSmall, NoSpace, HypervisorFailed."""

    def discard(self, instance_id: str, action_id: str) -> None:
        """After it nothing is left of what that action kept."""


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
    moves: Moves
    console: Console
    inventory: Inventory
    events: Events | None

    def close(self) -> None:
        """Ends threads and connections."""
