"""The service catalogue: computed from the settings, the same for every token, with ids that never change."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.conf import settings

INTERFACES = ("public", "internal", "admin")


@dataclass(frozen=True, kw_only=True)
class CatalogService:
    """One service: its type and name as clients look for it, and its path under PUBLIC_URL."""

    type: str
    name: str
    path: str

    @property
    def id(self) -> str:
        """Made from the type, so that it is the same in every process and for ever."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"service:{self.type}").hex

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"{settings.PUBLIC_URL}{self.path}"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One address of a service, for one kind of client."""

    service: CatalogService
    interface: str

    @property
    def id(self) -> str:
        """Made from the service's type and the interface."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"endpoint:{self.service.type}:{self.interface}").hex


# Identity's address has no version: clients discover v3 under it.
SERVICES = (
    CatalogService(type="identity", name="keystone", path="/identity"),
    CatalogService(type="compute", name="nova", path="/compute/v2.1"),
    CatalogService(type="image", name="glance", path="/image"),
    CatalogService(type="network", name="neutron", path="/networking"),
    CatalogService(type="placement", name="placement", path="/placement"),
)
ENDPOINTS = tuple(Endpoint(service=service, interface=interface) for service in SERVICES for interface in INTERFACES)
