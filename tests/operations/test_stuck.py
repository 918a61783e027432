"""STUCK, the last resort: what the operator's page shows, trying again, giving up; and cancel and retry on the wire."""

from __future__ import annotations

import dataclasses
import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from cloud.errors import Abort
from cloud.identity.models import User
from cloud.workflow import interventions, queries, stuck
from cloud.workflow.interventions import NotStuck, give_up, try_again
from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.operation import operation
from cloud.workflow.services import TargetBusy
from cloud.workflow.states import ActionState
from hypervisor.queries import QUERIES
from instances.models import Instance
from instances.states import VmState
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.scenarios import World
from tests.operations.test_every_operation import break_step
from tests.regressions.test_engine import break_undo
from tests.unit.identity.wire import Wire

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:
    return World(box)


def stuck_boot(world: World, monkeypatch: pytest.MonkeyPatch, failing: int = 3) -> Action:
    """A boot that failed, and whose way back failed as often as it may."""
    action = world.boot()
    break_step(world, monkeypatch, operation("boot"), "start_guest", Abort("broken on purpose"), after=True)
    break_undo(world, "create_disk", failing)
    world.box.recover()
    action.refresh_from_db()
    assert action.state == ActionState.STUCK
    return action


def stuck_delete(world: World) -> Action:
    """A delete, which only goes forward, and whose time is over."""
    world.booted()
    action = world.delete()
    host = world.instance().host
    declared = world.box.executors[host].steps["remove_guest"]

    def broken(_: Any) -> None:
        raise Abort("the hypervisor is broken")

    world.box.executors[host].steps["remove_guest"] = dataclasses.replace(declared, do=broken)
    world.box.run()
    Action.objects.filter(pk=action.pk).update(deadline=timezone.now() - timedelta(seconds=1))
    world.box.recover()
    world.box.executors[host].steps["remove_guest"] = declared
    action.refresh_from_db()
    assert action.state == ActionState.STUCK
    return action


# --- trying again -----------------------------------------------------------------------------------------------------


def test_a_way_back_that_is_tried_again_ends_with_nothing_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    action = stuck_boot(world, monkeypatch)
    assert world.box.leftovers(world.instance_id)
    before = action.turn
    assert try_again(action.pk).turn > before
    assert world.instance().task_state == "scheduling", "the instance is busy again"
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)
    assert "broken on purpose" in world.fault_message()


def test_its_attempts_and_its_time_are_fresh(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The undo failed three times before: its next failure must not be the last."""
    action = stuck_boot(world, monkeypatch, failing=5)
    Action.objects.filter(pk=action.pk).update(deadline=timezone.now() - timedelta(hours=1))
    assert try_again(action.pk).deadline > timezone.now()
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)


def test_what_is_still_broken_is_stuck_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    action = stuck_boot(world, monkeypatch, failing=9)
    for _ in range(2):  # three failures each time
        try_again(action.pk)
        world.box.recover()
        assert Action.objects.get(pk=action.pk).state == ActionState.STUCK
    try_again(action.pk)
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)


def test_a_lost_message_of_a_retry_is_made_up_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    action = stuck_boot(world, monkeypatch)
    monkeypatch.setattr(interventions, "_take_up", lambda action: None)
    try_again(action.pk)
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)


def test_what_went_forward_goes_forward_again(world: World) -> None:
    action = stuck_delete(world)
    assert world.instance().vm_state == VmState.ERROR
    try_again(action.pk)
    world.box.recover()
    world.assert_deleted(action)


def test_only_a_stuck_action_is_tried_again_and_only_the_last_of_its_target(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = stuck_boot(world, monkeypatch)
    Action.objects.filter(pk=action.pk).update(state=ActionState.FAILED)
    with pytest.raises(NotStuck, match="not STUCK, but FAILED"):
        try_again(action.pk)
    Action.objects.filter(pk=action.pk).update(state=ActionState.STUCK)
    world.delete()
    with pytest.raises((NotStuck, TargetBusy)):
        try_again(action.pk)
    world.box.recover()
    with pytest.raises(NotStuck, match="'delete' was begun"):
        try_again(action.pk)
    assert Action.objects.get(pk=action.pk).state == ActionState.STUCK


# --- giving up --------------------------------------------------------------------------------------------------------


def test_what_was_given_up_is_failed_and_a_delete_clears_what_it_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = stuck_boot(world, monkeypatch)
    given_up = give_up(action.pk, by="operator ada")
    assert (given_up.state, (given_up.fault or {})["code"]) == (ActionState.FAILED, "action.given_up")
    assert "operator ada" in given_up.fault["message"]  # type: ignore[index]
    assert world.box.leftovers(world.instance_id), "nothing of it is undone"
    with pytest.raises(NotStuck):
        give_up(action.pk, by="operator ada")
    Instance.objects.filter(pk=world.instance_id).update(host="")  # only the log knows where it was
    deletion = world.delete()
    world.box.recover()
    world.assert_deleted(deletion)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_of_a_stuck_action_has_all_that_a_person_needs(
    world: World, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = stuck_boot(world, monkeypatch)
    host = ActionEvent.objects.filter(action=action).exclude(host="").latest("pk").host

    def answered(name: str, query: str, arguments: dict[str, Any], timeout: float) -> Any:
        return json.loads(json.dumps(QUERIES[query](world.box.executors[name], arguments)))

    monkeypatch.setattr(stuck, "ask", answered)
    page = operator.get(f"/admin/workflow/action/{action.pk}/change/").content.decode()
    for needed in (
        *("A person is needed", "not undone", "create_disk", "on the way back", "broken on purpose"),
        *(host, f"highest turn {action.turn - 1}", "undo create_disk: failed", "do start_guest: failed"),
        *("openstack server delete", str(action.request_id), "Try again", "Give up", "select_host"),
    ):
        assert needed in page, needed
    assert "Cancel</button>" not in page


def test_the_page_opens_though_a_host_is_down_or_silent(
    world: World, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = stuck_boot(world, monkeypatch)
    host = ActionEvent.objects.filter(action=action).exclude(host="").latest("pk").host

    def silent(*_: Any, **__: Any) -> Any:
        raise queries.HostSilent(f"Host {host} did not answer journal within 1.5 s.")

    monkeypatch.setattr(stuck, "ask", silent)
    assert "did not answer journal" in operator.get(f"/admin/workflow/action/{action.pk}/change/").content.decode()
    world.box.power_off(host)
    page = operator.get(f"/admin/workflow/action/{action.pk}/change/").content.decode()
    assert f"fence_host {host}" in page
    assert "not asked" in page


def test_the_buttons_do_it_and_only_a_superusers_post_does(
    world: World, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = stuck_boot(world, monkeypatch)
    url = f"/admin/workflow/action/{action.pk}"
    assert operator.get(f"{url}/try-again/").status_code == 405
    looker = Client()
    looker.force_login(User.objects.create(name="looker", domain_id="default", is_staff=True))
    assert looker.post(f"{url}/try-again/").status_code == 403
    assert Action.objects.get(pk=action.pk).state == ActionState.STUCK
    assert operator.post(f"{url}/try-again/").status_code == 302
    world.box.recover()
    world.assert_undone(action, ActionState.FAILED)
    told = operator.post(f"{url}/give-up/", follow=True).content.decode()
    assert "is not STUCK, but FAILED" in told
    assert operator.post(f"/admin/workflow/action/{uuid.uuid4()}/give-up/").status_code == 404


def test_the_cancel_button_cancels(world: World, operator: Client) -> None:
    action = world.boot()
    world.box.step()
    page = operator.get(f"/admin/workflow/action/{action.pk}/change/").content.decode()
    assert "Cancel</button>" in page
    assert operator.post(f"/admin/workflow/action/{action.pk}/cancel/").status_code == 302
    world.box.recover()
    world.assert_undone(action, ActionState.CANCELLED)


# --- on the wire ------------------------------------------------------------------------------------------------------


@pytest.fixture
def admin(operator: Client) -> Wire:
    return Wire.logged_in("admin", "correct horse", project="admin")


def body(reply: Any) -> dict[str, Any]:
    return json.loads(reply.content)


def test_an_action_is_cancelled_on_the_wire_and_a_second_time_it_has_ended(world: World, admin: Wire) -> None:
    action = world.boot()
    world.box.step()
    found = body(admin.get(f"/kilonova/v1/actions?target_id={world.instance_id}&state=live"))["actions"]
    assert [(row["id"], row["action"], row["cannot_cancel"]) for row in found] == [(str(action.pk), "create", None)]
    reply = admin.post(f"/kilonova/v1/actions/{action.pk}/cancel")
    assert (reply.status_code, body(reply)["action"]["cancel_requested"]) == (202, True)
    world.box.recover()
    world.assert_undone(action, ActionState.CANCELLED)
    again = admin.post(f"/kilonova/v1/actions/{action.pk}/cancel")
    assert again.status_code == 409
    assert "it has ended, as CANCELLED" in body(again)["conflictingRequest"]["message"]


def test_another_projects_action_is_not_there(world: World, admin: Wire) -> None:
    from cloud.identity.models import Role
    from cloud.identity.services import assign_role, create_project, create_user

    project = create_project(name="others")
    user = create_user(name="bob", password="correct horse", domain_id="default")
    assign_role(user=user, project=project, role=Role.objects.get(name="member"))
    bob = Wire.logged_in("bob", "correct horse", project="others")
    action = world.boot()
    for reply in (
        bob.get(f"/kilonova/v1/actions/{action.pk}"),
        bob.post(f"/kilonova/v1/actions/{action.pk}/cancel"),
        bob.post("/kilonova/v1/actions/nonsense/cancel"),
    ):
        assert reply.status_code == 404, reply.content
    assert body(bob.get("/kilonova/v1/actions"))["actions"] == []
    assert bob.post(f"/kilonova/v1/actions/{action.pk}/retry").status_code == 403
    assert Wire().post(f"/kilonova/v1/actions/{action.pk}/cancel").status_code == 401
    assert not Action.objects.get(pk=action.pk).cancel_requested


@pytest.mark.parametrize(
    "path", ["?target_id=x", "?state=nonsense", "?limit=-1", "?request_id=%00", "?target_id=%00", "?limit=x"]
)
def test_a_bad_question_is_the_callers_error(admin: Wire, path: str) -> None:
    assert admin.get(f"/kilonova/v1/actions{path}").status_code == 400


@pytest.mark.parametrize("sent", [{"a": 1}, [1], "x", b"{"])
def test_a_body_that_does_not_fit_changes_nothing(world: World, admin: Wire, sent: Any) -> None:
    action = world.boot()
    assert admin.post(f"/kilonova/v1/actions/{action.pk}/cancel", sent).status_code == 400
    assert not Action.objects.get(pk=action.pk).cancel_requested


def test_a_stuck_action_is_tried_again_and_given_up_on_the_wire(
    world: World, admin: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = stuck_boot(world, monkeypatch, failing=6)
    refused = admin.post(f"/kilonova/v1/actions/{action.pk}/cancel")
    assert (refused.status_code, "STUCK" in refused.content.decode()) == (409, True)
    assert admin.post(f"/kilonova/v1/actions/{action.pk}/retry").status_code == 202
    world.box.recover()
    assert Action.objects.get(pk=action.pk).state == ActionState.STUCK, "its undo fails as often again"
    given_up = admin.post(f"/kilonova/v1/actions/{action.pk}/give-up")
    assert (given_up.status_code, body(given_up)["action"]["state"]) == (200, "FAILED")
    assert admin.post(f"/kilonova/v1/actions/{action.pk}/give-up").status_code == 409
