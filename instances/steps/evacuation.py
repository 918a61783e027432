"""Where an evacuated instance goes. From the claim on it is the destination's, in the database; the undo gives it back.

An instance is one host's at a time, and `Instance.host` says whose (rule R6): a host that comes back asks before it
takes work, and lets go what is not its own. So the row moves in the transaction that makes sure that the old host is
gone, and under the lock that its coming back takes.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any
from uuid import UUID

from cloud.errors import Abort
from cloud.networks import services as networks
from cloud.workflow.models import Host
from cloud.workflow.operation import StepContext, step
from hypervisor.steps import Role
from instances.models import Instance, Migration
from instances.states import TaskState
from instances.steps.placement import request_spec
from instances.steps.row import change_instance, instance_of
from scheduling import claims
from scheduling.named_host import candidates_on_named_host, candidates_on_storage_of
from scheduling.request_spec import RequestSpec
from scheduling.scheduler import select_hosts
from scheduling.selectors import storage_ids_of, zones_of

log = logging.getLogger(__name__)


class HostCameBack(Abort):
    """The host that the instance was to be evacuated from is up again, with the instance."""

    code = "evacuation.host_came_back"


class StorageUnclear(Abort):
    """Whether the two hosts share the instance's disk is not known, or not what the request says."""

    code = "evacuation.storage_unclear"


def evacuation_spec(instance: Instance, source: str, host: str | None, excluded: dict[str, str]) -> RequestSpec:
    """What the scheduler is asked: not the host that is down; `host` when an admin names one. A host that was forced
    at the boot binds no more."""
    left = {source: "It is the host that the instance is evacuated from.", **excluded}
    spec = request_spec(instance, left)
    return dataclasses.replace(spec, host=host or None, hypervisor_hostname=None)


def is_gone(host: Host) -> bool:
    """Whether the host was marked down and has not begun to come back: one that was answered its hello was told already
    which guests are its own (rule R6)."""
    return not host.is_up and not getattr(host, "hello", "")


def is_storage_shared(source: str, destination: str) -> bool | None:
    """Whether two hosts have one instances' directory, by what they said of it; None when one of them never did."""
    ids = storage_ids_of([source, destination])
    if not ids.get(source) or not ids.get(destination):
        return None
    return ids[source] == ids[destination]


@step(Role.SCHEDULER, no_undo="it changes nothing")
def select_destination(step: StepContext) -> dict[str, Any]:
    """The hosts that fit, best first; those that share the old host's storage before all others, for there the disk is
    kept. Raises NoValidHost with the reason of every host."""
    wanted = step.parameters
    spec = evacuation_spec(instance_of(step), wanted["source"], wanted["host"], step.excluded)
    if wanted["host"]:
        return {"candidates": candidates_on_named_host(spec, forced=wanted["force"])}
    sharing = candidates_on_storage_of(wanted["source"], spec)
    if sharing and wanted["is_storage_shared"] is not False:
        return {"candidates": sharing}
    return {"candidates": list(select_hosts(spec).candidates)}


def return_to_source(step: StepContext) -> None:
    """After it the instance is its old host's again, with the room that it had there and none elsewhere."""
    wanted = step.parameters
    claims.release(step.target_id)
    claims.hand_over(consumer=UUID(wanted["migration"]), to=step.target_id, host=wanted["source"])
    change_instance(step, host=wanted["source"], availability_zone=wanted["source_zone"])


@step(undo=return_to_source)
def claim_destination(step: StepContext) -> dict[str, Any]:
    """Claims room on the first candidate that still has it; the instance is that host's from here on. What it held on
    the old host is held by the migration, until that is over.

    Raises HostCameBack, StorageUnclear, CandidatesTaken.
    """
    wanted = step.parameters
    source = Host.objects.select_for_update().get(name=wanted["source"])
    if not is_gone(source):
        raise HostCameBack(f"Host {source.name} is back: its instances are not evacuated.", host=source.name)
    instance, migration = instance_of(step), UUID(wanted["migration"])
    claims.hand_over(consumer=instance.pk, to=migration, host=source.name)
    spec = evacuation_spec(instance, source.name, wanted["host"] if wanted["force"] else None, step.excluded)
    host = claims.claim(spec, step.outputs["select_destination"]["candidates"], action_id=step.action.pk)
    shared = _shared(source.name, host, wanted["is_storage_shared"])
    zone = zones_of([host]).get(host, "")
    change_instance(step, host=host, availability_zone=zone, task_state=TaskState.REBUILDING)
    disk = "kept: the hosts share their storage" if shared else f"made anew from image {instance.image_id}"
    Migration.objects.filter(uuid=migration).update(
        destination_host=host, details={"is_storage_shared": shared, "disk": disk}
    )
    log.warning(
        "instance %s goes from host %s, which is down, to %s; its disk is %s%s",
        instance.pk,
        source.name,
        host,
        disk,
        f"; that {source.name} does not write to it any more is user {step.action.user_id}'s word" if shared else "",
    )
    return {"host": host, "is_storage_shared": shared, "disk": disk}


def _shared(source: str, host: str, asserted: bool | None) -> bool:
    found = is_storage_shared(source, host)
    if found is None:
        raise StorageUnclear(
            f"Whether {source} and {host} share their storage is not known: one never said its storage's id."
        )
    if asserted is not None and asserted != found:
        raise StorageUnclear(
            f"onSharedStorage is {str(asserted).lower()}, and hosts {source} and {host} "
            f"{'share' if found else 'do not share'} their storage."
        )
    return found


def rebind_to_source(step: StepContext) -> None:
    """After it the instance's ports are bound to its old host."""
    networks.move_ports(instance_id=step.target_id, to_host=step.parameters["source"], action_id=step.action.pk)


@step(undo=rebind_to_source)
def rebind_ports(step: StepContext) -> None:
    """After it the instance's ports are bound to the destination, with their addresses."""
    host = step.outputs["claim_destination"]["host"]
    networks.move_ports(instance_id=step.target_id, to_host=host, action_id=step.action.pk)


def note_what_was_left(step: StepContext) -> None:
    """Notes on the migration that the old host keeps the instance's directory: it came back while the instance might
    yet have returned to it, and was told to. To be called in the transaction that ends the evacuation well."""
    wanted = step.parameters
    source = Host.objects.select_for_update().get(name=wanted["source"])
    if is_gone(source) or step.outputs["claim_destination"]["is_storage_shared"]:
        return
    migration = Migration.objects.get(uuid=wanted["migration"])
    migration.details = {**migration.details, "left_on": source.name}
    migration.save(update_fields=["details"])
