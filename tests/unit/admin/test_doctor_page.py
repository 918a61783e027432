"""The doctor's page in the operator's console: who may look, who may repair, and what a browser cannot do."""

from __future__ import annotations

import re
import uuid

import pytest
from django.test import Client

from cloud.identity.bootstrap import bootstrap
from cloud.identity.models import User
from instances.doctor import console
from scheduling.models import Allocation
from scheduling.services import recount_usage
from tests.unit.scheduling.conftest import make_node

PAGE = "/admin/doctor/"


@pytest.fixture
def operator(db: None, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The admin of a cloud, logged in to the console. No host answers here, so none is waited for long."""
    monkeypatch.setattr(console, "_HOST_PATIENCE", 0.05)
    bootstrap(admin_password="correct horse")
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(name="admin"))
    return client


@pytest.fixture
def leak(operator: Client) -> Allocation:
    """Room on h1 that is held for nobody."""
    make_node("h1")
    size = {"vcpus": 1, "memory_mib": 64, "disk_gib": 1}
    leaked = Allocation.objects.create(consumer=uuid.uuid4(), host="h1", action_id=uuid.uuid4(), **size)
    recount_usage()
    return leaked


def page_of(client: Client) -> str:
    reply = client.get(PAGE)
    assert reply.status_code == 200
    return reply.content.decode()


def key_of(page: str, code: str) -> str:
    row = next(row for row in page.split("<tr>") if f"<th>{code}</th>" in row)
    return re.search(r'name="finding" value="([0-9a-f]+)"', row)[1]  # type: ignore[index]


def press(client: Client, key: str) -> str:
    """What the page says after a button was pressed."""
    token = client.cookies["csrftoken"].value
    reply = client.post(PAGE, {"finding": key, "csrfmiddlewaretoken": token}, follow=True)
    assert reply.status_code == 200
    return reply.content.decode()


def test_the_index_leads_to_it(operator: Client) -> None:
    assert f'href="{PAGE}"' in operator.get("/admin/").content.decode()


def test_a_cloud_without_hosts_has_nothing_wrong(operator: Client) -> None:
    assert "Nothing is wrong." in page_of(operator)


@pytest.mark.django_db(transaction=True)
def test_a_safe_finding_is_repaired_by_its_button(operator: Client, leak: Allocation) -> None:
    page = page_of(operator)
    assert str(leak.consumer) in page
    said = press(operator, key_of(page, "allocation.leaked"))
    assert "Repaired." in said
    assert not Allocation.objects.exists()
    assert "allocation.leaked" not in page_of(operator)
    assert "It is not there any more." in press(operator, key_of(page, "allocation.leaked"))


@pytest.mark.django_db(transaction=True)
def test_all_that_is_safe_is_repaired_at_once_and_the_rest_left(operator: Client, leak: Allocation) -> None:
    page = page_of(operator)
    assert "<th>host.silent</th>" in page, "nobody answers for h1 here"
    press(operator, "all")
    assert not Allocation.objects.exists()
    assert "<th>host.silent</th>" in page_of(operator)


def test_a_post_without_the_forms_token_changes_nothing(operator: Client, leak: Allocation) -> None:
    assert operator.post(PAGE, {"finding": "all"}).status_code == 403
    assert Allocation.objects.exists()


def test_staff_who_are_no_superusers_may_look_and_not_repair(client: Client, leak: Allocation) -> None:
    client.force_login(User.objects.create(name="looker", domain_id="default", is_staff=True))
    page = page_of(client)
    assert "allocation.leaked" in page
    assert 'name="finding"' not in page
    assert client.post(PAGE, {"finding": "all"}).status_code == 403
    assert Allocation.objects.exists()


def test_others_may_not_even_look(client: Client, operator: Client) -> None:
    assert client.get(PAGE).status_code == 302
    client.force_login(User.objects.create(name="somebody", domain_id="default"))
    reply = client.get(PAGE)
    assert (reply.status_code, reply["Location"].split("?")[0]) == (302, "/admin/login/")


@pytest.mark.parametrize("key", ["", "nothing", "<script>alert(1)</script>", "0" * 100_000])
def test_a_key_of_nothing_repairs_nothing(operator: Client, leak: Allocation, key: str) -> None:
    page_of(operator)
    said = press(operator, key)
    assert "It is not there any more." in said
    assert Allocation.objects.exists()
