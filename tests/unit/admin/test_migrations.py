"""Migrations in the operator's console: how far they are, and its buttons."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from cloud.identity.bootstrap import bootstrap
from cloud.identity.models import User
from cloud.identity.services import create_project
from cloud.workflow.models import Action, ActionEvent
from instances.models import Instance, Migration, MigrationStatus
from tests.unit.instances.conftest import make_instance
from tests.unit.scheduling.conftest import make_node

INSTANCES, MIGRATIONS = "/admin/instances/instance/", "/admin/instances/migration/"


@pytest.fixture
def operator(db: None) -> Client:
    """The admin of a cloud, logged in to the console."""
    bootstrap(admin_password="correct horse")
    client = Client()
    client.force_login(User.objects.get(name="admin"))
    return client


@pytest.fixture
def instance(operator: Client) -> Instance:
    """It runs on h1, and h2 could take it."""
    make_node("h1")
    make_node("h2")
    return make_instance(create_project(name="blue").pk)


def press(operator: Client, url: str, button: str, row: Any) -> str:
    """What the page says after a button was pressed on that row."""
    reply = operator.post(url, {"action": button, "_selected_action": [str(row.pk)]}, follow=True)
    assert reply.status_code == 200
    return reply.content.decode()


def test_a_live_migration_begins_with_a_button_and_is_shown_on_its_way(operator: Client, instance: Instance) -> None:
    said = press(operator, INSTANCES, "live_migrate_instances", instance)
    assert f"({instance.pk}): live migrate asked for" in said
    row = Migration.objects.get()
    counters = {"memory_remaining_bytes": 30 * 1024**2, "disk_remaining_bytes": 12 * 1024**2}
    ActionEvent.objects.create(
        action=Action.objects.get(),
        seq=10,
        name="migrate_guest",
        turn=3,
        host="h1",
        progress={"percent": 70, "message": "migrating", "details": counters},
    )
    for page in (MIGRATIONS, f"{MIGRATIONS}{row.pk}/change/"):
        assert "70 %, 42 MiB to go" in operator.get(page).content.decode()


@pytest.mark.parametrize(
    ("button", "operation"),
    [("abort", "live_migration_abort"), ("force_complete", "live_migration_force_complete")],
)
def test_one_that_is_on_its_way_is_steered_with_buttons(
    operator: Client, instance: Instance, button: str, operation: str
) -> None:
    press(operator, INSTANCES, "live_migrate_instances", instance)
    row = Migration.objects.get()
    Migration.objects.update(status=MigrationStatus.RUNNING)
    press(operator, MIGRATIONS, button, row)
    assert Action.objects.get(operation=operation).target_id == row.uuid
    assert operation in operator.get(f"{MIGRATIONS}{row.pk}/change/").content.decode()


def test_what_cannot_be_is_said_with_the_reason(operator: Client, instance: Instance) -> None:
    press(operator, INSTANCES, "live_migrate_instances", instance)
    Migration.objects.update(status=MigrationStatus.COMPLETED)
    page = press(operator, MIGRATIONS, "abort", Migration.objects.get())
    assert "live-migration in state completed" in page
    assert "task_state migrating" in press(operator, INSTANCES, "live_migrate_instances", instance)
    assert not Action.objects.filter(operation="live_migration_abort").exists()
