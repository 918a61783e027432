"""`live-migration`: everything that can be known to be in its way is known here, and said, before anything begins."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.db import transaction

from cloud.api.policy import Caller
from cloud.errors import BadRequest, Conflict
from cloud.workflow.models import Action, Service
from instances.destinations import destination_spec, shares_storage
from instances.models import Instance, Migration, MigrationStatus, MigrationType
from instances.services.boot_placement import UnknownHost
from instances.services.verb import check_verb, start_verb
from scheduling.explain import NoValidHost
from scheduling.models import ComputeNode
from scheduling.request_spec import RequestSpec
from scheduling.scheduler import explain_all, select_hosts
from scheduling.services import COMPUTE

log = logging.getLogger(__name__)

_LEAST_GIB = 2  # what a small guest's time is reckoned from


class MigrationRefused(BadRequest):
    """No host, or not the one that was named, can take the guest over. The message says why."""

    code = "migration.refused"


class InstanceMoved(Conflict):
    """The instance went to another host while the request was looked at."""

    code = "migration.instance_moved"


def live_migrate_instance(
    *,
    caller: Caller,
    instance: Instance,
    host: str | None = None,
    block_migration: bool | None = None,
    is_forced: bool = False,
) -> Action:
    """Starts the migration to `host`, or to one that the scheduler chooses.

    `block_migration`: the disk is copied, it is not, or (None) as the hosts' storage asks for. `is_forced`: the host
    may be disabled; whatever else would harm the guest still refuses. Raises UnknownHost and MigrationRefused (400),
    and what `start_verb` raises.
    """
    check_verb(caller=caller, instance=instance, verb="live-migration")
    source = _source(instance)
    spec = destination_spec(instance, source, host=host, block_migration=block_migration)
    if host is not None:
        _check_named(spec, instance, host, is_forced=is_forced)
    else:
        _check_any(spec, instance)
    parameters = {
        "source": source.host,
        "host": host,
        "block_migration": block_migration,
        "options": _options(instance, source, host, block_migration),
    }
    with transaction.atomic():
        action = start_verb(
            caller=caller, instance=instance, verb="live-migration", operation="live_migration", parameters=parameters
        )
        if not Instance.objects.filter(pk=instance.pk, host=source.host).exists():
            raise InstanceMoved(f"Instance {instance.pk} is not on host {source.host} any more. Try again.")
        Migration.objects.create(
            instance=instance,
            action_id=action.pk,
            type=MigrationType.LIVE,
            status=MigrationStatus.QUEUED,
            project_id=instance.project_id,
            user_id=caller.user_id,
            source_host=source.host,
            destination_host=host or "",
            old_flavor_id=instance.flavor_id,
            new_flavor_id=instance.flavor_id,
        )
    return action


def _source(instance: Instance) -> ComputeNode:
    node = ComputeNode.objects.filter(host=instance.host).first()
    if node is None:
        raise MigrationRefused(f"Instance {instance.pk} is on no compute host (host {instance.host!r}).")
    service = Service.objects.filter(binary=COMPUTE, host=node.host).first()
    if service is None or not service.is_up:
        raise MigrationRefused(
            f"The compute service of host {node.host}, where instance {instance.pk} is, is down: a guest can be "
            "evacuated from there, not migrated."
        )
    return node


def _check_named(spec: RequestSpec, instance: Instance, host: str, *, is_forced: bool) -> None:
    if not ComputeNode.objects.filter(host=host).exists():
        raise UnknownHost(f"Compute host {host[:80]} could not be found.", field="host", value=host[:80])
    service = Service.objects.filter(binary=COMPUTE, host=host).first()
    reason = None
    if service is not None and service.is_disabled and not is_forced:
        reason = f"Its compute service is disabled: {service.disabled_reason or 'no reason given'}."
    for refusal in explain_all(spec).refusals:
        reason = reason or refusal.reason
    if reason:
        raise MigrationRefused(
            f"Host {host} cannot take over instance {instance.pk}: {reason}", host=host, instance=str(instance.pk)
        )


def _check_any(spec: RequestSpec, instance: Instance) -> None:
    try:
        select_hosts(spec)
    except NoValidHost as error:
        raise MigrationRefused(
            f"No host can take over instance {instance.pk}. {error.message}", **error.context
        ) from error


def _options(instance: Instance, source: ComputeNode, host: str | None, block_migration: bool | None) -> dict[str, Any]:
    """How the guest is to go, from the settings as they are now: kept with the action, for steps that are repeated."""
    return {
        "bandwidth_mib": settings.LIVE_MIGRATION_BANDWIDTH,
        "downtime_ms": settings.LIVE_MIGRATION_DOWNTIME,
        "may_auto_converge": settings.LIVE_MIGRATION_PERMIT_AUTO_CONVERGE,
        "may_post_copy": settings.LIVE_MIGRATION_PERMIT_POST_COPY,
        "timeout_seconds": _timeout(instance, source, host, block_migration),
        "on_timeout": settings.LIVE_MIGRATION_TIMEOUT_ACTION,
    }


def _timeout(instance: Instance, source: ComputeNode, host: str | None, block_migration: bool | None) -> float:
    """Seconds for each GiB that may have to go: the memory, and the disk unless it is known to stay."""
    named = ComputeNode.objects.filter(host=host).first() if host else None
    stays = block_migration is False or (named is not None and shares_storage(named, source))
    gib = max(_LEAST_GIB, instance.memory_mib / 1024) + (0 if stays else instance.disk_gib)
    return float(settings.LIVE_MIGRATION_COMPLETION_TIMEOUT * gib)
