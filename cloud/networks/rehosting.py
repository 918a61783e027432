"""Ports that an instance keeps while it changes its host, or has none for a time."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from cloud.networks.models import Port, PortStatus


def bind_to_host(*, instance_id: UUID, host: str) -> None:
    """After it every port of the instance is bound to `host`; "" is no host. Their addresses stay. May run twice."""
    Port.objects.filter(device_id=str(instance_id), bound_by__isnull=False).exclude(binding_host=host).update(
        binding_host=host, status=PortStatus.ACTIVE if host else PortStatus.DOWN, updated_at=timezone.now()
    )
