"""`create`: check all that was asked, then write the rows and start their actions in one transaction."""

from __future__ import annotations

import logging
import re
import secrets
import string
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from cloud.api.policy import Caller, require_member, require_project
from cloud.errors import BadRequest
from cloud.images.models import Image
from cloud.networks.selectors import PortRequest, resolve_requested
from cloud.workflow.services import start_actions
from instances import quotas
from instances.models import DiskConfig, Flavor, Instance, KeyPair
from instances.services.boot_checks import (
    check_hints,
    check_user_data,
    flavor_for_boot,
    image_that_fits,
    keypair_for_boot,
)
from instances.services.boot_placement import Destination, resolve_destination
from instances.states import VERBS

log = logging.getLogger(__name__)

_RESERVATION_ALPHABET = string.ascii_lowercase + string.digits
_NOT_IN_HOSTNAMES = re.compile(r"[^a-z0-9-]+")
MAX_HOSTNAME = 63
MAX_COUNT = 1000  # instances of one request


@dataclass(frozen=True, kw_only=True)
class BootRequest:
    """What a user asks for. `networks`: "auto", "none", None or the wire's list of {uuid | port, fixed_ip, tag}."""

    name: str
    flavor_id: str
    image_id: str
    networks: Any = None
    min_count: int = 1
    max_count: int = 1
    zone: str | None = None  # "zone", or "zone:host:node" of an admin
    host: str | None = None
    hypervisor_hostname: str | None = None
    key_name: str | None = None
    user_data: str = ""  # base64
    metadata: dict[str, str] = field(default_factory=dict)
    security_groups: tuple[str, ...] = ("default",)
    hints: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    description: str | None = None
    hostname: str | None = None
    config_drive: bool = True
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    disk_config: str = DiskConfig.MANUAL


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """What the request names, found."""

    flavor: Flavor
    image: Image
    keypair: KeyPair | None
    destination: Destination
    ports: tuple[PortRequest, ...]


def boot_instances(*, caller: Caller, request: BootRequest) -> list[Instance]:
    """Writes up to `max_count` instances and starts their actions; at least `min_count`, or nothing is written.

    Raises BadRequest naming what is unknown or does not fit, QuotaExceeded, and what the rooms that own the image and
    the networks raise.
    """
    require_member(caller, "creating servers")
    project_id = require_project(caller, "creating servers")
    checked = _check(caller, project_id, request)
    with transaction.atomic():
        count = quotas.take(
            project_id=project_id,
            minimum=request.min_count,
            maximum=request.max_count,
            vcpus=checked.flavor.vcpus,
            memory_mib=checked.flavor.memory_mib,
        )
        rows = _rows(caller, project_id, request, checked, count)
        Instance.objects.bulk_create(rows)
        start_actions(
            operation="boot",
            targets=[row.pk for row in rows],
            target_type="instance",
            project_id=project_id,
            user_id=caller.user_id,
            parameters={},
            is_new=True,
        )
    log.info("instances %s asked for, flavor %s", ", ".join(str(row.pk) for row in rows), checked.flavor.name)
    return rows


# --- checking ---------------------------------------------------------------------------------------------------------


def _check(caller: Caller, project_id: str, request: BootRequest) -> _Checked:
    """Everything that the request names, or an error that names it; changes nothing."""
    _check_counts(request)
    check_user_data(request.user_data)
    check_hints(request.hints)
    quotas.check_metadata(project_id, request.metadata)
    flavor = flavor_for_boot(caller, request.flavor_id)
    image = image_that_fits(caller, request.image_id, flavor)
    keypair = keypair_for_boot(caller, request.key_name)
    destination = resolve_destination(
        caller, zone=request.zone, host=request.host, hypervisor_hostname=request.hypervisor_hostname
    )
    ports = resolve_requested(caller, request.networks)
    _check_ports(request, ports)
    return _Checked(flavor=flavor, image=image, keypair=keypair, destination=destination, ports=ports)


def _check_counts(request: BootRequest) -> None:
    if not 1 <= request.min_count <= request.max_count <= MAX_COUNT:
        raise BadRequest(
            f"min_count must be >= 1 and <= max_count, max_count <= {MAX_COUNT}: min_count is {request.min_count}, "
            f"max_count is {request.max_count}.",
            field="min_count",
        )
    if request.max_count > 1 and request.hostname:
        raise BadRequest(
            f"Unable to allocate a single hostname to multiple instances: hostname is {request.hostname!r}, max_count "
            f"is {request.max_count}.",
            field="hostname",
        )


def _check_ports(request: BootRequest, ports: tuple[PortRequest, ...]) -> None:
    if request.max_count == 1:
        return
    for port in ports:
        if port.port_id:
            raise BadRequest(
                f"Unable to launch multiple instances with a single configured port ID: {port.port_id}. Launch them "
                "one by one with different ports.",
                field="networks",
            )
        if port.fixed_ip:
            raise BadRequest(
                f"Invalid fixed IP {port.fixed_ip} and max_count {request.max_count} specified: an address is one "
                "instance's.",
                field="networks",
            )


# --- writing ----------------------------------------------------------------------------------------------------------


def _rows(caller: Caller, project_id: str, request: BootRequest, checked: _Checked, count: int) -> list[Instance]:
    rule, now = VERBS["create"], timezone.now()
    reservation_id = "r-" + "".join(secrets.choice(_RESERVATION_ALPHABET) for _ in range(8))
    flavor, image, keypair, destination = checked.flavor, checked.image, checked.keypair, checked.destination
    rows = []
    for index in range(count):
        key = uuid.uuid4()
        name = request.name if request.max_count == 1 else f"{request.name[: 254 - len(str(index))]}-{index + 1}"
        rows.append(
            Instance(
                id=key,
                project_id=project_id,
                user_id=caller.user_id,
                display_name=name,
                description=request.description,
                hostname=request.hostname or hostname_from(name, key),
                reservation_id=reservation_id,
                launch_index=index,
                requested_zone=destination.zone,
                forced_host=destination.host,
                forced_hypervisor=destination.hypervisor_hostname,
                scheduler_hints=request.hints,
                vm_state=next(iter(rule.allowed_vm_states)),
                task_state=rule.task_state,
                flavor_id=flavor.flavorid,
                flavor_name=flavor.name,
                vcpus=flavor.vcpus,
                memory_mib=flavor.memory_mib,
                disk_gib=flavor.disk_gib,
                ephemeral_gib=flavor.ephemeral_gib,
                swap_mib=flavor.swap_mib,
                extra_specs=flavor.extra_specs,
                image_id=str(image.pk),
                image_name=image.name,
                image_properties=image.properties,
                key_name=keypair.name if keypair else None,
                key_data=keypair.public_key if keypair else "",
                user_data=request.user_data,
                config_drive=request.config_drive,
                metadata=request.metadata,
                tags=sorted(set(request.tags)),
                requested_networks=[port.to_json() for port in checked.ports],
                security_groups=list(request.security_groups),
                access_ip_v4=request.access_ip_v4,
                access_ip_v6=request.access_ip_v6,
                disk_config=request.disk_config,
                created_at=now,
                updated_at=now,
            )
        )
    return rows


def hostname_from(name: str, instance_id: uuid.UUID) -> str:
    """The guest's host name made of an instance's name: RFC 952 letters, digits and hyphens, at most 63 of them."""
    plain = _NOT_IN_HOSTNAMES.sub("", re.sub(r"[ _.]+", "-", name.lower())).strip("-")
    return plain[:MAX_HOSTNAME].rstrip("-") or f"server-{instance_id}"
