"""Every list and every page of the operator's console opens, of every model, with rows in it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cloud.identity.bootstrap import bootstrap
from cloud.identity.models import User
from cloud.identity.services import create_project
from cloud.images.models import ImageMember
from cloud.workflow.models import ActionEvent, HostQuery, Watch
from cloud.workflow.services import start_actions
from cloud.workflow.states import EventState
from instances.models import Fault, FlavorAccess, KeyPair, Migration, Quota, QuotaClass
from scheduling.claims import claim
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import make_flavor, make_image, make_instance, make_network
from tests.unit.scheduling.conftest import make_node, spec

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
PASSWORD = "correct horse"
HOSTILE = "<script>alert(1)</script>"


def url_of(model: type[Model], page: str, *arguments: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


@pytest.fixture
def operator(db: None) -> Client:
    """The admin of a cloud, logged in to the console."""
    bootstrap(admin_password=PASSWORD)
    client = Client()
    client.force_login(User.objects.get(name="admin"))
    return client


@pytest.fixture
def rows(operator: Client) -> None:
    """At least one row of every model, with a name that would run in a browser where it may have one."""
    Wire.logged_in("admin", PASSWORD, project="admin")
    project = create_project(name="blue")
    network = make_network()
    make_node("h1")
    instance = make_instance(project.pk, HOSTILE, network=network)
    ImageMember.objects.create(image=make_image(), project_id=project.pk)
    FlavorAccess.objects.create(flavor=make_flavor(), project_id=project.pk)
    Fault.objects.create(instance=instance, message=HOSTILE, details=HOSTILE)
    KeyPair.objects.create(user_id="u" * 32, name="key", public_key="ssh-ed25519 AAAA", fingerprint="aa")
    Migration.objects.create(instance=instance, action_id=uuid.uuid4(), type="resize", project_id=project.pk)
    Quota.objects.create(project_id=project.pk, resource="cores", limit=5)
    QuotaClass.objects.create(resource="cores", limit=5)
    HostQuery.objects.create(host="h1", name="console_output")
    Group.objects.create(name="group")
    Watch.objects.create(name="hosts", looked_at=timezone.now(), since=timezone.now())
    claim(spec(instance_id=instance.pk), ["h1"], action_id=uuid.uuid4())
    (action,) = start_actions(
        operation="delete",
        targets=[instance.pk],
        target_type="instance",
        project_id=project.pk,
        user_id="u" * 32,
        parameters={},
    )
    Migration.objects.create(instance=instance, action_id=action.pk, type="live-migration", project_id=project.pk)
    now = timezone.now()
    ActionEvent.objects.create(
        **{"action": action, "seq": 0, "name": "destroy_guest", "role": "HOST", "host": "h1", "turn": 1},
        **{"state": EventState.FAILED, "started_at": now, "finished_at": now, "error": {"message": HOSTILE}},
    )


def get(operator: Client, url: str, query: dict[str, Any] | None = None) -> str:
    reply = operator.get(url, query)
    assert reply.status_code == 200, f"{url}: {reply.status_code}"
    return reply.content.decode()


def test_the_console_has_every_model_of_the_rooms() -> None:
    rooms = {model._meta.app_label for model in MODELS}
    assert {"workflow", "identity", "images", "networks", "scheduling", "instances"} <= rooms


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_a_list_opens_without_a_row_and_with_a_search_that_finds_none(admin_client: Client, model: type[Model]) -> None:
    get(admin_client, url_of(model, "changelist"))
    get(admin_client, url_of(model, "changelist"), {"q": 'it\'s "nothing" %'})


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_the_list_and_the_page_of_a_row_open(operator: Client, rows: None, model: type[Model]) -> None:
    row = model._default_manager.first()
    assert row is not None, f"the fixture makes no {model._meta.label}"
    pages = [get(operator, url_of(model, "changelist")), get(operator, url_of(model, "change", row.pk))]
    may_add = admin.site._registry[model].has_add_permission(operator.get("/admin/").wsgi_request)
    if may_add:
        pages.append(get(operator, url_of(model, "add")))
    assert all(HOSTILE not in page for page in pages)


def test_an_instances_page_shows_its_timeline(operator: Client, rows: None) -> None:
    instance = Fault.objects.get().instance
    page = get(operator, url_of(type(instance), "change", instance.pk))
    event = ActionEvent.objects.get()
    assert "<td>destroy_guest</td><td>h1</td><td>FAILED</td><td>0 ms</td>" in page
    assert url_of(type(event.action), "change", event.action.pk) in page
    assert f"{event.action.created_at:%Y-%m-%d %H:%M:%S}" in page


@pytest.mark.parametrize(
    ("page", "action"),
    [
        ("instances/instance", "delete_instances"),
        ("instances/instance", "live_migrate_instances"),
        ("instances/migration", "force_complete"),
        ("workflow/action", "cancel_actions"),
    ],
)
def test_staff_who_are_no_superusers_may_look_and_not_act(client: Client, page: str, action: str, db: None) -> None:
    bootstrap(admin_password=PASSWORD)
    staff = User.objects.create(name="looker", domain_id="default", is_staff=True)
    client.force_login(staff)
    answer = client.get(f"/admin/{page}/")
    assert answer.status_code == 200
    assert action.encode() not in answer.content
