"""Brokers and databases that do not answer: how long a request waits, and what it is told."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from celery import Celery
from django.db import InterfaceError, OperationalError
from django.test import Client

from cloud import broker
from cloud.workflow import legs
from cloud.workflow.models import Action
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.conftest import box  # noqa: F401
from tests.operations.scenarios import World

SHAPES = {
    "/compute/v2.1/servers": "serviceUnavailable",
    "/identity/v3/projects": "error",
    "/networking/v2.0/networks": "NeutronError",
    "/image/v2/images": "message",
    "/placement/resource_providers": "errors",
    "/kilonova/v1/actions": "serviceUnavailable",
}


def test_a_broker_that_takes_connections_and_never_answers_holds_nobody_for_long() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        app = Celery("hurried")
        app.conf.update(broker.celery_settings(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", "conductor"))
        broker.publish_in_a_hurry(app, 0.3)
        for _ in range(2):
            begun = time.monotonic()
            with pytest.raises(Exception, match=r"[Tt]imeout|timed out"):
                app.send_task("workflow.sweep", queue="conductor", retry=False)
            assert time.monotonic() - begun < 3


def test_only_what_publishes_to_redis_is_hurried() -> None:
    app = Celery("other")
    app.conf.update(broker.celery_settings("memory://", "conductor"))
    broker.publish_in_a_hurry(app)
    assert app.conf.broker_transport_options == {}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_slow", [True, False])
def test_after_a_broker_stood_still_nothing_is_tried_for_a_while(
    box: CloudInABox,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    is_slow: bool,
) -> None:
    tried: list[Any] = []

    def failing(action: Action, role: Any) -> None:
        tried.append(action)
        raise OSError("it does not answer")

    monkeypatch.setattr(legs, "_quiet_until", 0.0)
    monkeypatch.setattr(legs, "_SLOW", -1.0 if is_slow else 3600.0)
    monkeypatch.setattr(legs, "_send", failing)
    world = World(box)
    for _ in range(2):
        action = world.boot()  # accepted all the same
        assert Action.objects.get(pk=action.pk).published_at is None
    assert len(tried) == (1 if is_slow else 2)


@pytest.mark.parametrize("error", [OperationalError("the server closed the connection"), InterfaceError("closed")])
@pytest.mark.parametrize(("path", "key"), SHAPES.items())
def test_a_database_that_is_away_is_a_503_in_the_shape_of_the_service(
    monkeypatch: pytest.MonkeyPatch, path: str, key: str, error: Exception
) -> None:
    def away(secret: str) -> None:
        raise error

    monkeypatch.setattr("cloud.identity.tokens.find", away)
    reply = Client(raise_request_exception=False).get(path, headers={"X-Auth-Token": "any"})
    assert reply.status_code == 503
    assert int(reply["Retry-After"]) > 0
    assert key in reply.json()
    assert "database does not answer" in reply.content.decode()


def test_outside_of_the_wire_it_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(Action.objects, "filter", away)
    reply = Client(raise_request_exception=False).get("/metrics")
    assert (reply.status_code, reply["Retry-After"]) == (503, "5")
