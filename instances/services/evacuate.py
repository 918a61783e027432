"""`evacuate`: for admins, from a host that is down."""

from __future__ import annotations

import logging
import uuid

from django.db import transaction

from cloud.api.policy import Caller
from cloud.errors import BadRequest
from cloud.workflow.models import Action, Host
from cloud.workflow.sweeps import mark_hosts_down
from instances.models import Instance, Migration, MigrationType
from instances.secrets import PASSWORD, seal
from instances.services.remake_checks import check_has_host
from instances.services.verb import check_verb, start_verb
from instances.states import VmState
from instances.steps.evacuation import evacuation_spec, is_gone, is_storage_shared
from scheduling.named_host import check_named_host

log = logging.getLogger(__name__)


class HostInUse(BadRequest):
    """The instance's host is up: its instances are moved, not evacuated."""

    code = "evacuation.host_is_up"


class SameHost(BadRequest):
    """The host that was named is the one that is down."""

    code = "evacuation.same_host"


class InvalidSharedStorage(BadRequest):
    """The request says of the hosts' storage what is not so."""

    code = "evacuation.invalid_shared_storage"


def evacuate_instance(
    *,
    caller: Caller,
    instance: Instance,
    host: str | None = None,
    force: bool = False,
    password: str | None = None,
    is_shared: bool | None = None,
    ends_stopped: bool = False,
) -> Action:
    """Brings the instance up on `host` (None: the scheduler chooses), which the filters must pass unless `force`.

    By calling it the admin asserts that the instance's host does not write to the disk any more: on shared storage
    nothing else keeps it from that until it says hello (rule R6). `is_shared`: what the request says of the storage,
    None to go by what the hosts say. `ends_stopped`: the guest is not started.

    Errors: see `start_verb`; NotLaunched (409); HostInUse, SameHost, InvalidSharedStorage, HostDoesNotFit (400);
    NoSuchHost (404).
    """
    check_verb(caller=caller, instance=instance, verb="evacuate")
    check_has_host(instance, "evacuate")
    if host is not None:
        _check_host(instance, host, force, is_shared)
    _check_gone(instance)
    migration = uuid.uuid4()
    parameters = {
        "migration": str(migration),
        "source": instance.host,
        "source_zone": instance.availability_zone,
        "host": host,
        "force": force,
        "is_storage_shared": is_shared,
        "runs": not ends_stopped and instance.vm_state != VmState.STOPPED,
        **({PASSWORD: seal(password)} if password else {}),
    }
    with transaction.atomic():
        action = start_verb(caller=caller, instance=instance, verb="evacuate", parameters=parameters)
        Migration.objects.create(
            uuid=migration,
            instance=instance,
            action_id=action.pk,
            type=MigrationType.EVACUATION,
            project_id=instance.project_id,
            user_id=caller.user_id,
            source_host=instance.host,
            destination_host=host or "",
            old_flavor_id=instance.flavor_id,
            new_flavor_id=instance.flavor_id,
        )
    log.warning(
        "user %s asserts that host %s is down for good: evacuates %s", caller.user_id, instance.host, instance.pk
    )
    return action


def _check_gone(instance: Instance) -> None:
    mark_hosts_down()  # a host whose service is silent for long enough is down now, not at the next sweep
    row = Host.objects.select_related("service").filter(name=instance.host).first()
    if row is None or not is_gone(row) or row.service.is_up:
        raise HostInUse(
            f"Compute service of {instance.host} is still in use: only instances of a host that is down are evacuated. "
            "Migrate them, or force the service down once the host is off.",
            host=instance.host,
        )


def _check_host(instance: Instance, host: str, force: bool, is_shared: bool | None) -> None:
    if host == instance.host:
        raise SameHost(f"The target host {host[:80]} can't be the same one.", host=host[:80])
    check_named_host(evacuation_spec(instance, instance.host, host, {}), forced=force)
    found = is_storage_shared(instance.host, host)
    if found is None:
        raise InvalidSharedStorage(
            f"Whether hosts {instance.host} and {host} share their storage is not known.", host=host
        )
    if is_shared is not None and is_shared != found:
        raise InvalidSharedStorage(
            f"onSharedStorage is {str(is_shared).lower()}, and hosts {instance.host} and {host} "
            f"{'share' if found else 'do not share'} their storage.",
            field="onSharedStorage",
        )
