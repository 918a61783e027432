"""The views of services, availability zones and aggregates. Those of compute nodes are in `hypervisors.py`."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator
from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.microversions import served
from cloud.api.policy import require_admin
from cloud.api.schemas import boolean, validate
from cloud.api.views import ComputeView
from cloud.errors import BadRequest, NotFound
from cloud.workflow.models import Service
from scheduling import selectors, services
from scheduling.api import schemas, serializers
from scheduling.api.hypervisors import AdminView, text_of

# --- os-services ------------------------------------------------------------------------------------------------------


class Services(AdminView):
    """`os-services`"""

    def get(self, request: Request) -> Response:
        rows = list(selectors.services(text_of(request, "binary"), text_of(request, "host")))
        zones = selectors.zones_of({row.host for row in rows})
        return Response({"services": [serializers.show_service(row, zones, self.version) for row in rows]})


class OneService(AdminView):
    """`os-services/{id}`, and up to 2.52 `os-services/enable` and its kin."""

    def put(self, request: Request, service_id: str) -> Response:
        if self.version < serializers.UUIDS:
            return self._put_legacy(request, service_id)
        wanted = validate(schemas.UPDATE_SERVICE, request.data)
        reason = wanted.get("disabled_reason")
        if reason is not None and wanted.get("status") != "disabled":
            raise BadRequest("Specifying disabled_reason when status is not 'disabled' is invalid.")
        service = services.set_service(
            service=self._by_uuid(service_id),
            is_disabled=wanted["status"] == "disabled" if "status" in wanted else None,
            disabled_reason=reason,
            is_forced_down=boolean(wanted["forced_down"]) if "forced_down" in wanted else None,
        )
        zones = selectors.zones_of([service.host])
        return Response({"service": serializers.show_service(service, zones, self.version)})

    def _put_legacy(self, request: Request, verb: str) -> Response:
        schema = _LEGACY.get(verb)
        if schema is None or (verb == "force-down" and self.version < serializers.FORCED_DOWN):
            raise NotFound(f"No such action on services: {verb[:80]}")
        wanted = validate(schema, request.data)
        service = selectors.services(wanted["binary"], wanted["host"]).first()
        if service is None:
            raise NotFound(f"Could not find binary {wanted['binary']} on host {wanted['host']}.")
        shown: dict[str, Any] = {"host": service.host, "binary": service.binary}
        if verb == "force-down":
            is_forced_down = boolean(wanted.get("forced_down", True))
            services.set_service(service=service, is_forced_down=is_forced_down)
            return Response({"service": {**shown, "forced_down": is_forced_down}})
        reason = wanted.get("disabled_reason")
        services.set_service(service=service, is_disabled=verb != "enable", disabled_reason=reason)
        shown["status"] = "enabled" if verb == "enable" else "disabled"
        if reason is not None:
            shown["disabled_reason"] = reason
        return Response({"service": shown})

    def delete(self, request: Request, service_id: str) -> Response:
        service = self._by_uuid(service_id) if self.version >= serializers.UUIDS else self._by_number(service_id)
        services.delete_service(service=service)
        return Response(status=204)

    def _by_uuid(self, service_id: str) -> Service:
        try:
            wanted = UUID(service_id)
        except ValueError:
            raise BadRequest(f"Invalid uuid {service_id[:80]}", field="service_id")
        service = Service.objects.filter(uuid=wanted).first()
        if service is None:
            raise NotFound(f"Service {service_id} could not be found.")
        return service

    def _by_number(self, service_id: str) -> Service:
        if not service_id.isdecimal() or len(service_id) > 18:
            raise BadRequest(f"Invalid service id {service_id[:80]}", field="service_id")
        service = Service.objects.filter(pk=int(service_id)).first()
        if service is None:
            raise NotFound(f"Service {service_id} could not be found.")
        return service


_LEGACY: dict[str, Draft202012Validator] = {
    "enable": schemas.LEGACY_SERVICE,
    "disable": schemas.LEGACY_SERVICE,
    "disable-log-reason": schemas.LEGACY_SERVICE_REASON,
    "force-down": schemas.LEGACY_SERVICE_FORCED,
}


# --- os-availability-zone ---------------------------------------------------------------------------------------------


class Zones(ComputeView):
    """`os-availability-zone`: which zones a request may name. For all callers."""

    def get(self, request: Request) -> Response:
        zones = selectors.availability_zones()
        return Response({"availabilityZoneInfo": [_zone(name, is_there, None) for name, is_there in zones.items()]})


class ZonesDetailed(ComputeView):
    """`os-availability-zone/detail`: with hosts and services. For admins."""

    def get(self, request: Request) -> Response:
        require_admin(self.caller, "listing the hosts of availability zones")
        rows = list(selectors.services())
        zone_by_host = selectors.zones_of({row.host for row in rows})
        hosts: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
        for row in rows:
            hosts[selectors.zone_of(row, zone_by_host)][row.host][row.binary] = {
                "active": not row.is_disabled,
                "available": row.is_up,
                "updated_at": serializers.naive_time(row.last_seen_at),
            }
        zones = selectors.availability_zones()
        if selectors.INTERNAL_ZONE in hosts:
            zones = {selectors.INTERNAL_ZONE: True, **zones}
        return Response({"availabilityZoneInfo": [_zone(name, up, hosts.get(name, {})) for name, up in zones.items()]})


def _zone(name: str, is_available: bool, hosts: dict[str, Any] | None) -> dict[str, Any]:
    return {"zoneName": name, "zoneState": {"available": is_available}, "hosts": hosts}


# --- os-aggregates ----------------------------------------------------------------------------------------------------


class Aggregates(AdminView):
    """`os-aggregates`: there are none yet; `hypervisor show` asks for them."""

    @served()
    def get(self, request: Request) -> Response:
        return Response({"aggregates": []})
