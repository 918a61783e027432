"""GET /os-migrations."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.http import QueryDict
from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.paging import page
from cloud.api.policy import require_admin
from cloud.errors import BadRequest
from instances.api.links import next_links
from instances.api.serializers import migration_list as serializers
from instances.api.server_filters import flag, moment
from instances.api.views.base import InstancesView
from instances.models import Flavor, Migration
from instances.selectors import instance_key
from scheduling.selectors import hypervisor_hostnames

_ORDER = ("-created_at", "-id")
# Query parameter → the first minor microversion that has it.
_KNOWN = {
    "host": 1,
    "instance_uuid": 1,
    "status": 1,
    "source_compute": 1,
    "migration_type": 1,
    "hidden": 1,
    "limit": 59,
    "marker": 59,
    "changes-since": 59,
    "changes-before": 66,
    "user_id": 80,
    "project_id": 80,
}


class MigrationsView(InstancesView):
    """GET /os-migrations: every move of every instance, newest first."""

    def get(self, request: Request) -> Response:
        require_admin(self.caller, "listing migrations")
        query, minor = request.query_params, self.version.minor
        self._check_known(query)
        rows = _narrowed(Migration.objects.all(), query, minor)
        if minor < 59:
            return Response({"migrations": self._shown(list(rows.order_by(*_ORDER)))})
        found, limit = page(rows, query, _ORDER, marker_field="uuid")
        shown = list(found)
        reply: dict[str, Any] = {"migrations": self._shown(shown[:limit])}
        if len(shown) > limit > 0:
            reply["migrations_links"] = next_links(request, shown[limit - 1].uuid, limit)
        return Response(reply)

    def _check_known(self, query: QueryDict) -> None:
        for name in query:
            if self.version.minor >= 59 and _KNOWN.get(name, 1000) > self.version.minor:
                raise BadRequest(
                    f"Additional properties are not allowed ({name[:80]!r} was unexpected in version {self.version}).",
                    field=name[:80],
                )

    def _shown(self, rows: list[Migration]) -> list[dict[str, Any]]:
        ids = {flavor for row in rows for flavor in (row.old_flavor_id, row.new_flavor_id) if flavor}
        flavors = dict(Flavor.objects.filter(flavorid__in=ids).values_list("flavorid", "pk")) if ids else {}
        hypervisors = _hypervisors(rows)
        return [serializers.migration(row, self.version, flavors, hypervisors) for row in rows]


def _narrowed(rows: QuerySet[Migration], query: QueryDict, minor: int) -> QuerySet[Migration]:
    if query.get("host"):
        rows = rows.filter(Q(source_host=query["host"]) | Q(destination_host=query["host"]))
    if query.get("instance_uuid"):
        rows = rows.filter(instance_id=instance_key(query["instance_uuid"]))
    for name, column in (("status", "status"), ("source_compute", "source_host"), ("migration_type", "type")):
        if query.get(name):
            rows = rows.filter(**{column: query[name]})
    if flag(query, "hidden"):
        return rows.none()  # none of ours ever is
    if minor >= 80:
        for name in ("user_id", "project_id"):
            if query.get(name):
                rows = rows.filter(**{name: query[name]})
    return _changed(rows, query, minor)


def _changed(rows: QuerySet[Migration], query: QueryDict, minor: int) -> QuerySet[Migration]:
    since, before = query.get("changes-since"), query.get("changes-before")
    if since and minor >= 59:
        rows = rows.filter(updated_at__gte=moment(since, "changes-since"))
    if before and minor >= 66:
        rows = rows.filter(updated_at__lte=moment(before, "changes-before"))
        if since and moment(since, "changes-since") > moment(before, "changes-before"):
            raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    return rows


def _hypervisors(rows: list[Migration]) -> dict[str, str]:
    return hypervisor_hostnames({host for row in rows for host in (row.source_host, row.destination_host) if host})
