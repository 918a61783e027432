"""The verbs of the operator's console."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from cloud.workflow.models import Action
from instances.admin_verbs import VERBS
from instances.models import Instance
from instances.states import VmState
from tests.unit.instances.conftest import make_instance

CHANGELIST = "admin:instances_instance_changelist"


def choose(console: Client, verb: str, *rows: Instance) -> str:
    """What the console says once the verb was chosen for the rows."""
    form = {"action": verb, "_selected_action": [str(row.pk) for row in rows]}
    reply = console.post(reverse(CHANGELIST), form, follow=True)
    assert reply.status_code == 200
    return reply.content.decode()


def test_a_verb_starts_the_action_that_the_api_starts(admin_client: Client) -> None:
    row = make_instance("a" * 32)
    assert "stop asked for" in choose(admin_client, "stop_instances", row)
    action = Action.objects.get()
    assert (action.operation, action.target_id) == ("stop", row.pk)


def test_of_several_each_is_told_for_itself(admin_client: Client) -> None:
    fits, does_not = make_instance("a" * 32, name="one"), make_instance("a" * 32, name="two", vm_state=VmState.STOPPED)
    said = choose(admin_client, "stop_instances", fits, does_not)
    assert "while it is in vm_state stopped" in said
    assert Action.objects.get().target_id == fits.pk


@pytest.mark.parametrize("verb", [name for name, _, _ in VERBS])
def test_every_verb_answers_for_an_instance_that_was_deleted_meanwhile(admin_client: Client, verb: str) -> None:
    row = make_instance("a" * 32)
    Instance.objects.filter(pk=row.pk).update(vm_state=VmState.DELETED, host="")
    choose(admin_client, verb, row)
