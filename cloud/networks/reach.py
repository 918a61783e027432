"""Which hosts have a network, and that each of them is told so (docs/decisions/0006).

A host joins in the transaction that binds the network's first port to it, and leaves some time after the last port:
`settle` looks. Each change takes the network's next `reach_version`, under the lock of the network's row; hosts that
were told an older one are told by an action of their own (`operations.py`), at once when a host joins, otherwise by the
sweep. Lock order: networks, then subnets.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Iterable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from cloud.networks.models import Network, NetworkHost, Port
from cloud.workflow.models import Action, Host
from cloud.workflow.services import TargetBusy, start_actions
from cloud.workflow.states import LIVE
from hypervisor.spec import is_reachable

log = logging.getLogger(__name__)

TELL = "network_reach"  # the operation that tells one host
TARGET_TYPE = "network on a host"
_TARGETS = UUID("b1f6a0f4-4a52-4b9e-8f5f-6a4a3f0e7c21")  # a namespace: each host of a network is a target of its own
_BATCH = 200


@transaction.atomic(savepoint=False)
def join(network_ids: Iterable[UUID], host: str) -> None:
    """After it `host` is one of the hosts of each network, and those that were there before are being told."""
    for network_id in sorted(set(network_ids)):
        # Locked, so that it cannot leave before the caller's ports are there to be seen.
        if not NetworkHost.objects.select_for_update().filter(network_id=network_id, host=host):
            _join(network_id, host)


def _join(network_id: UUID, host: str) -> None:
    network = Network.objects.select_for_update(no_key=True).filter(pk=network_id).first()
    if network is None or NetworkHost.objects.filter(network=network, host=host).exists():
        return
    address = _addresses([host]).get(host, "")
    others = NetworkHost.objects.filter(network=network)
    if address:
        _bump(network)
    elif others.exists():
        log.warning("network %s: guests on host %s do not reach those on other hosts: set HOST_IP there", network, host)
    # Once there was another, or this one is back, it may still know of hosts that are gone.
    is_to_hear = bool(address) and network.reach_version > 1
    told = 0 if is_to_hear else network.reach_version
    NetworkHost.objects.create(network=network, host=host, address=address, told=told)
    if is_to_hear:
        tell(_stale().filter(network=network)[:_BATCH])


def _bump(network: Network) -> None:
    network.reach_version += 1
    network.save(update_fields=["reach_version"])


def _addresses(hosts: Collection[str]) -> dict[str, str]:
    """The addresses of those hosts that others can reach."""
    known = import_string(settings.NETWORK_HOST_ADDRESSES)(hosts)
    return {host: address for host, address in known.items() if is_reachable(address)}


# --- telling ----------------------------------------------------------------------------------------------------------


def _stale() -> QuerySet[NetworkHost]:
    """Hosts that are up and know an older version of their network than there is."""
    is_up = Exists(Host.objects.filter(name=OuterRef("host"), is_up=True))
    rows = NetworkHost.objects.filter(is_up, told__lt=F("network__reach_version"))
    return rows.exclude(address="").order_by("told", "pk")


def tell_stale() -> int:
    """Starts telling hosts that know an older version of their network; how many."""
    return tell(_stale()[:_BATCH])


def target_of(network_id: UUID, host: str) -> UUID:
    """The target of the actions that tell this host of this network."""
    return uuid.uuid5(_TARGETS, f"{network_id} {host}")


def tell(rows: Iterable[NetworkHost]) -> int:
    """Starts an action for each of `rows` that has none: who has one is told again by the sweep if need be."""
    wanted = {target_of(row.network_id, row.host): row for row in rows}
    live = Action.objects.filter(target_type=TARGET_TYPE, target_id__in=list(wanted), state__in=LIVE)
    for busy in live.values_list("target_id", flat=True):
        del wanted[busy]
    if not wanted:
        return 0
    try:
        with transaction.atomic():
            _start(list(wanted.values()))
    except TargetBusy as busy_now:
        log.info("hosts are told of their networks later: %s", busy_now.message)
        return 0
    return len(wanted)


@transaction.atomic
def tell_anew(network_id: UUID, host: str) -> Action | None:
    """Starts telling `host` of the network's hosts though it was told of them: it makes right what became of that.
    None when it is not one of them. The version is a new one, so that the host believes it whatever it keeps; the
    others hear of that by the sweep. Errors: TargetBusy, when it is being told."""
    network = Network.objects.select_for_update(no_key=True).filter(pk=network_id).first()
    row = NetworkHost.objects.filter(network_id=network_id, host=host).first()
    if network is None or row is None:
        return None
    _bump(network)
    return _start([row])[0]


def _start(rows: Collection[NetworkHost]) -> list[Action]:
    return start_actions(
        operation=TELL,
        targets=[target_of(row.network_id, row.host) for row in rows],
        target_type=TARGET_TYPE,
        project_id="",
        user_id="",
        parameters=[{"network": str(row.network_id), "host": row.host} for row in rows],
    )


def told(*, network_id: UUID, host: str, version: int) -> None:
    """Writes down which version the host knows. A host ahead of the database (which was restored) makes the network
    go on above it, so that the host listens again (rule R11)."""
    Network.objects.filter(pk=network_id, reach_version__lt=version).update(reach_version=version + 1)
    NetworkHost.objects.filter(network_id=network_id, host=host).update(told=version)


# --- repair -----------------------------------------------------------------------------------------------------------


def settle() -> None:
    """Makes the rows say what the ports and the hosts say: who lost its last port leaves, who has ports and no row
    joins, and an address that changed is told."""
    for row in _idle()[:_BATCH]:
        _leave(row)
    ports = Port.objects.filter(bound_by__isnull=False).exclude(binding_host="")
    missing = ports.filter(
        ~Exists(NetworkHost.objects.filter(network=OuterRef("network"), host=OuterRef("binding_host")))
    )
    for network_id, host in missing.order_by().values_list("network_id", "binding_host").distinct()[:_BATCH]:
        join([network_id], host)
    hosts = set(NetworkHost.objects.values_list("host", flat=True))
    addresses = _addresses(hosts)
    for row in NetworkHost.objects.all():
        if row.address != addresses.get(row.host, ""):
            _readdress(row, addresses.get(row.host, ""))


def forget_old_tellings() -> None:
    """Deletes ended actions of this room after their retention, a target's last one too: by then its host has forgotten
    the target's turns itself, and where it has not, it says so (rule R11)."""
    before = timezone.now() - timedelta(days=settings.ACTION_RETENTION_DAYS)
    old = Action.objects.filter(target_type=TARGET_TYPE, finished_at__lt=before).order_by("finished_at")
    Action.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:_BATCH])).delete()


def _idle() -> QuerySet[NetworkHost]:
    """Hosts of networks without a port there."""
    at_host = Q(binding_host=OuterRef("host")) | Q(moving_to=OuterRef("host"))
    ports = Port.objects.filter(at_host, network=OuterRef("network"), bound_by__isnull=False)
    return NetworkHost.objects.filter(~Exists(ports)).order_by("pk")


@transaction.atomic
def _leave(row: NetworkHost) -> None:
    network = Network.objects.select_for_update(no_key=True).filter(pk=row.network_id).first()
    # A row that is locked is about to get a port.
    locked = NetworkHost.objects.select_for_update(skip_locked=True).filter(pk=row.pk).first()
    if network is None or locked is None or not _idle().filter(pk=row.pk).exists():
        return
    locked.delete()
    if locked.address:
        _bump(network)
    log.info("network %s has no port on host %s any more", network, row.host)


@transaction.atomic
def _readdress(row: NetworkHost, address: str) -> None:
    network = Network.objects.select_for_update(no_key=True).filter(pk=row.network_id).first()
    if network is not None and NetworkHost.objects.filter(pk=row.pk).update(address=address):
        _bump(network)
        log.info("host %s of network %s is at %s", row.host, network, address or "no address that others can reach")
