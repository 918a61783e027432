"""Facet `Migration`: libvirt's peer-to-peer live migration, between the hosts' libvirtds and without ssh.

The two libvirtds talk over `MIGRATION_URI`, the guest's memory and disk go to the destination's `HOST_IP`. The source's
worker asks the destination's libvirtd where the guest is, and does nothing else there.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt

from hypervisor.config import HostConfig
from hypervisor.driver import BaseImage, Progress
from hypervisor.errors import GuestNotFound, HypervisorFailed, HypervisorUnreachable
from hypervisor.instance_files import InstanceFiles
from hypervisor.libvirt.connection import Connection, look_up
from hypervisor.libvirt.disk_info import disk_info
from hypervisor.libvirt.disks import QcowDisks
from hypervisor.libvirt.failures import is_lost, understood
from hypervisor.libvirt.flight import Flight, Watch, end_job, within
from hypervisor.libvirt.interfaces import LibvirtInterfaces
from hypervisor.libvirt.inventory import LibvirtInventory
from hypervisor.libvirt.lifecycle import LibvirtLifecycle, has_job
from hypervisor.libvirt.travelling import (
    SPLIT,
    is_made_by,
    is_on,
    keep_alive,
    let_run,
    measured,
    paused_for,
)
from hypervisor.libvirt.xml.travel import cpu_of, marked
from hypervisor.migration import (
    CopyPlan,
    MigrationFailed,
    MigrationOrder,
    MigrationRefused,
    MigrationSource,
    Wish,
    Wishes,
)
from hypervisor.spec import GuestSpec, Maker, NicSpec

log = logging.getLogger(__name__)

_PEER_SECONDS = 10.0
_LIVE_XML = libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_SECURE
_KEPT_XML = _LIVE_XML | libvirt.VIR_DOMAIN_XML_INACTIVE
_FLAGS = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
)


class LibvirtMigration:
    """See `hypervisor.driver.Migration`."""

    def __init__(
        self,
        connection: Connection,
        config: HostConfig,
        files: InstanceFiles,
        lifecycle: LibvirtLifecycle,
        disks: QcowDisks,
        interfaces: LibvirtInterfaces,
        inventory: LibvirtInventory,
    ) -> None:
        self._connection = connection
        self._config = config
        self._files = files
        self._lifecycle = lifecycle
        self._disks = disks
        self._interfaces = interfaces
        self._inventory = inventory
        self._wishes = Wishes(config.state_dir / "wishes")

    # --- what is asked before ---

    def describe(self, instance_id: str) -> MigrationSource:
        """See `hypervisor.driver.Migration.describe`."""
        with understood(f"looking at the guest of instance {instance_id}"):
            found = self._lifecycle.find(instance_id)
            if found is None or not found.isActive():
                raise GuestNotFound(f"the guest of instance {instance_id} is not on at host {self._config.name}")
            disk = disk_info(self._files.disk(instance_id))
            offered = self._inventory.read()
            return MigrationSource(
                storage_id=offered.storage_id,
                hypervisor_type=offered.hypervisor_type,
                hypervisor_version=offered.hypervisor_version,
                architecture=offered.architecture,
                cpu=cpu_of(found.XMLDesc(_LIVE_XML)),
                disk_bytes=disk.virtual_size_bytes,
                backing=disk.backing,
            )

    def check(self, guest: GuestSpec, source: MigrationSource, *, is_shared: bool) -> None:
        """See `hypervisor.driver.Migration.check`."""
        name, offered = self._config.name, self._inventory.read()
        ours = (offered.hypervisor_type, offered.architecture)
        if (source.hypervisor_type, source.architecture) != ours:
            theirs = f"{source.hypervisor_type} on {source.architecture}"
            raise MigrationRefused(f"host {name} runs {ours[0]} on {ours[1]}, the guest runs on {theirs}")
        if offered.hypervisor_version < source.hypervisor_version:
            raise MigrationRefused(
                f"host {name} has hypervisor {offered.hypervisor_version}, older than the source's "
                f"{source.hypervisor_version}: upgrade it"
            )
        if is_shared != (offered.storage_id == source.storage_id):
            found, wanted = ("another", "the same") if is_shared else ("the same", "another")
            raise MigrationRefused(f"host {name} has {found} storage as the source, where {wanted} was expected")
        if source.cpu:
            with understood(f"comparing the guest's CPU with that of host {name}", MigrationRefused):
                compared = self._connection.get().compareHypervisorCPU(
                    None, offered.architecture, None, "kvm", source.cpu, 0
                )
            if compared == libvirt.VIR_CPU_COMPARE_INCOMPATIBLE:
                raise MigrationRefused(f"the CPU of host {name} lacks features that the guest uses")

    # --- the destination's part ---

    def prepare(
        self, guest: GuestSpec, source: MigrationSource, base: BaseImage | None, maker: Maker, progress: Progress
    ) -> CopyPlan:
        """See `hypervisor.driver.Migration.prepare`."""
        is_same = base is not None and base.path == source.backing
        stands_on = base if base is not None and is_same else None
        self._disks.create(guest, stands_on or _NOTHING, maker, progress, size_bytes=source.disk_bytes)
        return CopyPlan.INCREMENTAL if stands_on else CopyPlan.FULL

    def expect(self, instance_id: str, source: MigrationSource, *, is_shared: bool) -> None:
        """See `hypervisor.driver.Migration.expect`."""
        if is_shared and source.backing and not Path(source.backing).exists():
            raise MigrationRefused(
                f"the guest's disk stands on {source.backing}, which is not at host {self._config.name}: the image of "
                f"instance {instance_id} is another one now"
            )
        with understood(f"making way for the guest of instance {instance_id}"):
            found = self._lifecycle.find(instance_id)
            if found is not None and is_on(found):
                raise MigrationRefused(f"a guest of instance {instance_id} is on at host {self._config.name} already")
            self._lifecycle.remove(instance_id, None)

    def turn_away(self, instance_id: str, maker: Maker) -> None:
        """See `hypervisor.driver.Migration.turn_away`."""
        with understood(f"turning the guest of instance {instance_id} away"):
            found = self._lifecycle.find(instance_id)
            if found is None or not is_made_by(found, maker):
                return
            if is_on(found):
                raise MigrationFailed(f"the guest of instance {instance_id} has arrived at host {self._config.name}")
            self._lifecycle.remove(instance_id, maker)

    def arrive(self, guest: GuestSpec, order: MigrationOrder, maker: Maker) -> dict[str, Any]:
        """See `hypervisor.driver.Migration.arrive`."""
        with understood(f"receiving the guest of instance {guest.instance_id}"):
            found = self._lifecycle.find(guest.instance_id)
            if found is None or not is_made_by(found, maker):
                raise HypervisorFailed(f"the guest of instance {guest.instance_id} is not at host {self._config.name}")
            if not found.isPersistent():
                self._connection.get().defineXML(marked(found.XMLDesc(_KEPT_XML), maker))
            found.setAutostart(0)
            let_run(found, order)
            return measured(found)

    # --- the source's part ---

    def send(self, guest: GuestSpec, order: MigrationOrder, maker: Maker, progress: Progress) -> None:
        """See `hypervisor.driver.Migration.send`."""
        instance_id = guest.instance_id
        with understood(f"migrating the guest of instance {instance_id} to host {order.destination}", MigrationFailed):
            self._lifecycle.settle(instance_id)
            found = self._lifecycle.find(instance_id)
            if found is None or not found.isActive():
                if self.has_moved(instance_id, order, maker):
                    return
                raise GuestNotFound(f"the guest of instance {instance_id} is not on at host {self._config.name}")
            let_run(found, order)
            flags, parameters = self._terms(found, order, maker)
            with contextlib.suppress(libvirt.libvirtError):  # an old QEMU keeps its own
                found.migrateSetMaxDowntime(order.downtime_ms)
            flight = Flight(
                self._config.libvirt_uri, instance_id, self._config.uri_of(order.destination), parameters, flags
            )
            watch = Watch(flight, found, order, lambda: self._taken(maker), lambda: keep_alive(found, order))
            with self._going_on_if_it_stays(found, watch):
                watch.until_over(progress)
                if flight.error is not None and not self._is_gone(instance_id, order, maker):
                    raise MigrationFailed(
                        f"migrating the guest of instance {instance_id} to host {order.destination}: "
                        f"{flight.error.get_error_message()}"
                    )
        log.info("the guest of instance %s went to host %s", instance_id, order.destination)

    def has_moved(self, instance_id: str, order: MigrationOrder, maker: Maker) -> bool:
        """See `hypervisor.driver.Migration.has_moved`. A guest that is on at the source has not, for libvirt lets only
        one of the two go on. One whose post-copy broke is at neither: an error, for a person."""
        with understood(f"asking where the guest of instance {instance_id} is"):
            found = self._lifecycle.find(instance_id)
            if order.destination == self._config.name:
                return found is not None and is_made_by(found, maker) and is_on(found)
            if found is not None and found.isActive() and paused_for(found) == SPLIT:
                raise HypervisorFailed(
                    f"the guest of instance {instance_id} is split over host {self._config.name} and host "
                    f"{order.destination}: its post-copy migration broke. A person has to recover or end it there"
                )
            if found is not None and is_on(found):
                let_run(found, order)
                return False
            with self._peer(order) as peer:
                there = look_up(peer, instance_id)
                return there is not None and is_made_by(there, maker) and is_on(there)

    def leave(self, instance_id: str, nics: tuple[NicSpec, ...], *, is_shared: bool) -> None:
        """See `hypervisor.driver.Migration.leave`."""
        self._lifecycle.remove(instance_id, None)
        self._interfaces.unplug(instance_id, nics, None)
        if not is_shared:
            self._disks.delete(instance_id, None)

    def steer(self, instance_id: str, action_id: str, wish: Wish) -> bool:
        """See `hypervisor.driver.Migration.steer`. When nobody is there to hear it, the job is ended from here."""
        if self._wishes.ask(action_id, wish):
            return True
        if wish != Wish.ABORT:
            return False
        with understood(f"aborting the migration of instance {instance_id}"):
            found = self._lifecycle.find(instance_id)
            if found is None or not has_job(found):
                return False
            end_job(found)
        return True

    # --- parts of the above ---

    def _terms(self, found: libvirt.virDomain, order: MigrationOrder, maker: Maker) -> tuple[int, dict[str, Any]]:
        flags = _FLAGS
        flags |= libvirt.VIR_MIGRATE_AUTO_CONVERGE if order.may_auto_converge and not order.is_paused else 0
        flags |= libvirt.VIR_MIGRATE_POSTCOPY if order.may_post_copy and not order.is_paused else 0
        flags |= libvirt.VIR_MIGRATE_UNSAFE if self._config.migration_unsafe_ok else 0
        flags |= {CopyPlan.INCREMENTAL: libvirt.VIR_MIGRATE_NON_SHARED_INC}.get(CopyPlan(order.copy), 0)
        flags |= {CopyPlan.FULL: libvirt.VIR_MIGRATE_NON_SHARED_DISK}.get(CopyPlan(order.copy), 0)
        parameters: dict[str, Any] = {
            libvirt.VIR_MIGRATE_PARAM_DEST_XML: marked(found.XMLDesc(_LIVE_XML), maker),
            libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: marked(found.XMLDesc(_KEPT_XML), maker),
        }
        if self._config.migration_uri.startswith("qemu+tls:"):
            flags |= libvirt.VIR_MIGRATE_TLS
            # The memory goes to an address; what the destination's certificate holds for is its name.
            parameters[libvirt.VIR_MIGRATE_PARAM_TLS_DESTINATION] = order.destination
        if order.destination_ip and not order.destination_ip.startswith("127."):
            parameters[libvirt.VIR_MIGRATE_PARAM_URI] = f"tcp://{order.destination_ip}"
        if order.bandwidth_mib:
            parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = order.bandwidth_mib
        return flags, parameters

    def _taken(self, maker: Maker) -> Wish | None:
        wish = self._wishes.of(maker.action_id)
        if wish is not None:
            self._wishes.taken(maker.action_id)
        return wish

    @contextmanager
    def _going_on_if_it_stays(self, found: libvirt.virDomain, watch: Watch) -> Iterator[None]:
        """A guest that we paused and that did not go runs again."""
        try:
            yield
        except BaseException:
            if watch.was_paused:
                with contextlib.suppress(libvirt.libvirtError):
                    found.resume()
            raise

    def _is_gone(self, instance_id: str, order: MigrationOrder, maker: Maker) -> bool:
        """Whether it went in spite of what libvirt said."""
        try:
            return self.has_moved(instance_id, order, maker)
        except HypervisorUnreachable as error:
            log.warning("%s", error.message)
            return False

    @contextmanager
    def _peer(self, order: MigrationOrder) -> Iterator[libvirt.virConnect]:
        uri = self._config.uri_of(order.destination)
        try:
            peer = within(_PEER_SECONDS, f"asking {uri}", lambda: libvirt.open(uri))
        except libvirt.libvirtError as error:
            raise HypervisorUnreachable(f"{uri} does not answer: {error.get_error_message()}") from error
        try:
            peer.setKeepAlive(5, 3)
            yield peer
        except libvirt.libvirtError as error:
            if is_lost(error):
                raise HypervisorUnreachable(f"{uri} went away: {error.get_error_message()}") from error
            raise
        finally:
            with contextlib.suppress(libvirt.libvirtError):
                peer.close()


_NOTHING = BaseImage(path="", disk_format="", virtual_size_bytes=0)
