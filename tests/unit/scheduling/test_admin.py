"""The operator's pages of this room open, and an edit never touches what claims keep."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from scheduling.claims import claim
from scheduling.models import Allocation, ComputeNode
from tests.unit.scheduling.conftest import make_node, spec

pytestmark = pytest.mark.urls("tests.unit.scheduling.urls")


def test_every_page_opens_and_shows_capacity(admin_client: Client) -> None:
    node = make_node("h1", ram_ratio=1.5)
    make_node("empty", vcpus=0, memory_mib=0, disk_gib=0)
    claim(spec(), ["h1"], action_id=uuid.uuid4())
    listed = admin_client.get("/admin/scheduling/computenode/?q=h1").content.decode()
    assert "512 / 12288 MiB" in listed
    assert admin_client.get("/admin/scheduling/computenode/").status_code == 200
    assert admin_client.get(f"/admin/scheduling/computenode/{node.pk}/change/").status_code == 200
    assert admin_client.get("/admin/scheduling/allocation/").status_code == 200
    assert admin_client.get(f"/admin/scheduling/allocation/{Allocation.objects.get().pk}/change/").status_code == 200


def test_an_edit_changes_the_operators_fields_and_not_the_counters(admin_client: Client) -> None:
    node = make_node("h1")
    form = {"zone": "east", "reserved_memory_mib": 0, "cpu_ratio": 4.0, "ram_ratio": 1.0, "disk_ratio": 1.0}
    claim(spec(), ["h1"], action_id=uuid.uuid4())
    answer = admin_client.post(f"/admin/scheduling/computenode/{node.pk}/change/", {**form, "used_vcpus": 99})
    assert answer.status_code == 302
    node = ComputeNode.objects.get()
    assert (node.zone, node.cpu_ratio, node.used_vcpus, node.used_memory_mib) == ("east", 4.0, 1, 512)
