"""`/healthcheck` and `/metrics`: is every part there that an operation needs, and how much is going on."""

from __future__ import annotations

from django.db import connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from cloud.celery import app
from cloud.workflow.models import Action, ActionEvent, Host, Service
from cloud.workflow.states import LIVE, OPEN


def healthcheck(request: HttpRequest) -> JsonResponse:
    """200 when database, broker and a conductor answer, 503 with the part that does not."""
    parts = {"database": _database(), "broker": _broker()}
    parts["conductor"] = _conductor() if parts["database"] == "ok" else "unknown: the database is away"
    is_well = all(state == "ok" for state in parts.values())
    return JsonResponse({"status": "ok" if is_well else "degraded", "parts": parts}, status=200 if is_well else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception as error:  # whatever the driver says, the answer is that it does not answer
        return f"{type(error).__name__}"
    return "ok"


def _broker() -> str:
    try:
        with app.connection_for_write() as link:
            link.ensure_connection(max_retries=0, timeout=2)
    except Exception as error:
        return f"{type(error).__name__}"
    return "ok"


def _conductor() -> str:
    is_up = any(service.is_up for service in Service.objects.filter(binary="nova-conductor"))
    return "ok" if is_up else "no conductor was seen lately"


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text: live actions by operation and state, open steps by host, services and hosts up."""
    registry = CollectorRegistry()
    actions = Gauge("kilonova_actions", "Live actions.", ["operation", "state"], registry=registry)
    for row in Action.objects.filter(state__in=(*LIVE, "STUCK")).values("operation", "state").annotate(n=Count("pk")):
        actions.labels(row["operation"], row["state"]).set(row["n"])
    steps = Gauge("kilonova_open_steps", "Steps given to hosts and not answered.", ["host"], registry=registry)
    for host, number in ActionEvent.objects.filter(state__in=OPEN).values_list("host").annotate(n=Count("pk")):
        steps.labels(host).set(number)
    services = Gauge("kilonova_service_up", "1 when it was seen lately.", ["binary", "host"], registry=registry)
    for service in Service.objects.all():
        services.labels(service.binary, service.host).set(int(service.is_up))
    hosts = Gauge("kilonova_hosts", "Compute hosts, up and down.", ["state"], registry=registry)
    hosts.labels("up").set(Host.objects.filter(is_up=True).count())
    hosts.labels("down").set(Host.objects.filter(is_up=False).count())
    return HttpResponse(generate_latest(registry), content_type="text/plain; version=0.0.4; charset=utf-8")
