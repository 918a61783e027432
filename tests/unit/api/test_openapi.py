"""The OpenAPI pages open, and describe what is ours alone."""

from __future__ import annotations

import json

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


def test_the_schema_and_its_page_open_without_a_token() -> None:
    reply = Client().get("/kilonova/v1/schema", headers={"Accept": "application/json"})
    assert reply.status_code == 200
    described = json.loads(reply.content)
    assert described["info"]["title"] == "Kilonova"
    assert all(path.startswith("/kilonova/") for path in described["paths"])
    assert Client().get("/kilonova/v1/docs").status_code == 200


def test_a_host_header_that_names_no_host_is_the_senders_fault() -> None:
    reply = Client(raise_request_exception=False).get("/kilonova/v1/docs", headers={"Host": "a b"})

    assert reply.status_code == 400
