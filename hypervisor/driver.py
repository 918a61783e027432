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

from hypervisor.holdings import BaseFound, DirectoryFound, DomainFound, LeftoverFound, NetworkFound
from hypervisor.migration import CopyPlan, MigrationOrder, MigrationSource, Wish
from hypervisor.moves import AsideDisk, DiskOrigin
from hypervisor.spec import GuestSpec, GuestState, HostInventory, ImageSource, Maker, NicSpec, ReachSpec


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


@dataclass(frozen=True, kw_only=True)
class DiskCopy:
    """A full copy of a system disk, as a file on its host. `is_noted`: of a simulated host without an image service,
    which made a note in place of bytes."""

    disk_format: str
    size_bytes: int
    virtual_size_bytes: int
    md5: str
    sha512: str
    is_noted: bool = False


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

    def create(
        self, guest: GuestSpec, base: BaseImage, maker: Maker, progress: Progress, *, stands_alone: bool = False
    ) -> None:
        """After it `disk` is a qcow2 overlay on `base` of the flavor's size (of the image's when that is 0), or with
        `stands_alone` a copy of it that needs no base; and `disk.config` holds the config drive when the guest has one.
        A disk left by another action, or by the same action from other inputs, is replaced.

        Errors: DiskTooSmall, NoSpace, HypervisorFailed.
        """

    def delete(self, instance_id: str, maker: Maker | None) -> None:
        """After it the instance's directory is gone; with a `maker`, only if that action made it. None: in any case."""

    def take_over(self, instance_id: str) -> None:
        """After it the disk that a host sharing this directory left is known to be here. It is not signed: whoever made
        it stays its maker, so that no undo of the one who takes it over removes it (rule R10). Errors: DiskMissing."""


class KeptDisks(Protocol):
    """The old disk and config drive of an instance, kept aside in the name of an action while new ones are tried. The
    guest is off meanwhile, or runs on the new ones."""

    def set_aside(self, instance_id: str, maker: Maker) -> None:
        """After it what the instance had is kept in the name of `maker`'s action, and its places are free, or hold what
        that action made since. Errors: HypervisorFailed."""

    def put_back(self, instance_id: str, maker: Maker) -> None:
        """After it the instance has again what that action set aside, with its maker, and nothing else. Without
        anything aside nothing changes. Errors: HypervisorFailed."""

    def forget(self, instance_id: str, maker: Maker) -> None:
        """After it nothing is aside for that action. There is no way back. Errors: HypervisorFailed."""

    def is_forgotten(self, instance_id: str, maker: Maker) -> bool:
        """Whether there is no way back: the disk is `maker`'s action's, and nothing is aside for it."""


class RescueDisks(Protocol):
    """What a rescued guest boots from, beside the instance's own disk."""

    def create(self, guest: GuestSpec, base: BaseImage, maker: Maker, progress: Progress) -> None:
        """After it `disk.rescue` is a qcow2 overlay on `base` of its size, and `disk.rescue.config` holds the guest's
        config drive, if it has one. What another action left, or the same from other inputs, is replaced.

        Errors: NoSpace, HypervisorFailed.
        """

    def delete(self, instance_id: str, maker: Maker | None) -> None:
        """After it neither is there; with a `maker`, only if that action made them. None: in any case."""

    def are_there(self, instance_id: str) -> bool:
        """Whether the instance has a rescue disk here."""


class Snapshots(Protocol):
    """Full copies of system disks, that become images."""

    def take(self, instance_id: str, maker: Maker, progress: Progress) -> DiskCopy:
        """After it the instance's directory holds a flattened qcow2 of the system disk as it was at one moment during
        the call, made by `maker`; the one that this action made from the same inputs is taken for done, and what other
        actions left goes. A guest that runs goes on, on its own disk file; one that is off, paused or saved stays so.

        Errors: GuestNotFound, when there is no disk; NoSpace, HypervisorFailed; what `progress` raises. After an
        error, or a death in the middle, the guest is on its own disk file; `discard` removes the rest.
        """

    def upload(self, instance_id: str, image_id: str, url: str, maker: Maker, progress: Progress) -> DiskCopy:
        """After it the image service has the bytes of the copy that `maker` took, checked there against its checksum.
        May be repeated. Errors: UploadFailed, UploadRefused."""

    def discard(self, instance_id: str, maker: Maker) -> None:
        """After it nothing is left of the copy that this action made, finished or not, nor of what made it."""


class Interfaces(Protocol):
    """Networks of the host and the guest's places on them."""

    def plug(self, guest: GuestSpec, maker: Maker, progress: Progress) -> None:
        """After it every network of the guest exists and runs here, and its DHCP answers each of the guest's MACs with
        exactly its address. A port that is plugged so already stays its first maker's. The network reaches the other
        hosts that this one was told of. Errors: NetworkFailed."""

    def unplug(self, instance_id: str, nics: tuple[NicSpec, ...], maker: Maker | None) -> None:
        """After it no DHCP entry or lease of these ports is left here; a network without any port goes too. With a
        `maker`, only what that action made."""

    def set_reach(self, reach: ReachSpec) -> int:
        """After it this host knows which hosts have the network, unless it was told of a later version before; gives
        the version that it knows. Where the network runs it reaches those hosts, and where it does not yet run it will.
        Errors: NetworkFailed."""

    def plugged(self, instance_id: str) -> tuple[NicSpec, ...]:
        """The ports of the instance that are plugged here, as far as `unplug` needs to know them: for a host that
        nobody tells any more which ports its instance had."""


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


class Power(Protocol):
    """A guest that runs, and its memory."""

    def run(self, instance_id: str) -> str:
        """Which run of the guest this is: another after each start, the same while it lives, paused or not; "" when it
        is off."""

    def reboot(self, instance_id: str, run: str, timeout_seconds: float, progress: Progress) -> bool:
        """After it the guest is in another run than `run`, its definition as it was: it is asked by ACPI, and started
        when it went off. False when it did not go off in `timeout_seconds`: then it runs on. A guest in another run
        already, or off, was rebooted so far. Errors: GuestOff, HypervisorFailed."""

    def pause(self, instance_id: str) -> None:
        """After it the guest's CPUs stand still; its memory stays. Errors: GuestOff, HypervisorFailed."""

    def unpause(self, instance_id: str) -> None:
        """After it the guest runs, if it is paused or runs. Errors: GuestOff, HypervisorFailed."""

    def suspend(self, instance_id: str, progress: Progress) -> None:
        """After it the guest is off, and its memory is in a file that goes with its definition. One that is off with
        its memory in that file is suspended. Errors: GuestOff, NoSpace, HypervisorFailed."""

    def resume(self, instance_id: str, progress: Progress) -> bool:
        """After it the guest goes on where `suspend` left it, and the file is gone; one that runs is left as it is.
        False, and nothing done, when there is no such memory. Errors: HypervisorFailed."""

    def interrupt(self, instance_id: str) -> None:
        """Sends the guest one NMI, for which its system may write a crash dump. Each call sends another.
        Errors: GuestOff, HypervisorFailed; StepUnknown when nobody knows whether it was sent."""


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


class Migration(Protocol):
    """A guest that runs goes to another host and goes on there. `describe`, `send` and `leave` are the source's part,
    `check`, `prepare`, `expect` and `arrive` the destination's."""

    def describe(self, instance_id: str) -> MigrationSource:
        """What a destination must know of the guest that is on here. Errors: GuestNotFound."""

    def check(self, guest: GuestSpec, source: MigrationSource, *, is_shared: bool) -> None:
        """Nothing, when this host can take the guest over. Errors: MigrationRefused, with the reason."""

    def prepare(
        self, guest: GuestSpec, source: MigrationSource, base: BaseImage | None, maker: Maker, progress: Progress
    ) -> CopyPlan:
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


class GuestAgent(Protocol):
    """The agent inside the guest, if its image has one."""

    def set_password(self, instance_id: str, user: str, password: str) -> None:
        """After it `user` has that password inside the guest. Errors: AgentSilent, GuestNotFound."""


class Inventory(Protocol):
    """What the host offers."""

    def read(self) -> HostInventory: ...


class Holdings(Protocol):
    """All that this host has of the cloud, whoever made it and whether anybody still owns it: read for the doctor, and
    removed when it has found that nobody does. What it removes it names; it concludes nothing by itself."""

    def storage_id(self) -> str:
        """Equal on hosts that see the same directories."""

    def domains(self) -> tuple[DomainFound, ...]:
        """Every domain of this cloud, and any other that is named as one. Errors: HypervisorFailed."""

    def directories(self) -> tuple[DirectoryFound, ...]:
        """Every directory of an instance, its own, set aside or half removed."""

    def bases(self) -> tuple[BaseFound, ...]:
        """The files in the cache of base images, without their side files."""

    def networks(self) -> tuple[NetworkFound, ...]:
        """The networks that have a port here, with DHCP entries that belong to none. Errors: HypervisorFailed."""

    def leftovers(self) -> tuple[LeftoverFound, ...]:
        """Bridges and tunnels of networks without a port here. Errors: HypervisorFailed."""

    def set_aside(self, name: str) -> None:
        """After it the directory of that name is out of the cloud's sight, whole; one that is gone is."""

    def remove_directory(self, name: str) -> None:
        """After it the directory of that name is gone."""

    def remove_base(self, name: str, used_at: float) -> bool:
        """After it that file of the cache is gone; False, and nothing done, when a disk stands on it, something asked
        for it after `used_at`, or somebody is at it now."""

    def forget_entry(self, network_id: str, mac: str, ip: str) -> None:
        """After it DHCP has no entry of that MAC, unless a port of ours is plugged with it. Errors: NetworkFailed."""

    def forget_network(self, network_id: str) -> bool:
        """After it that network is not here; False while a port or a guest is on it. Errors: NetworkFailed."""


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
    kept_disks: KeptDisks
    rescue_disks: RescueDisks
    snapshots: Snapshots
    interfaces: Interfaces
    lifecycle: Lifecycle
    agent: GuestAgent
    power: Power
    moves: Moves
    migration: Migration | None
    console: Console
    inventory: Inventory
    holdings: Holdings
    events: Events | None

    def close(self) -> None:
        """Ends threads and connections."""
