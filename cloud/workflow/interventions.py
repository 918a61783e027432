"""What a person may do to an action: cancel it, have a STUCK one tried again, or give that up.

Each is refused with the reason when it cannot be (409). Nothing here acts on a host but through the action's own turns.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from cloud import context
from cloud.errors import Conflict, NotFound
from cloud.workflow import runner
from cloud.workflow.giving import context_of
from cloud.workflow.log import Log
from cloud.workflow.models import Action
from cloud.workflow.operation import operations
from cloud.workflow.services import TargetBusy
from cloud.workflow.states import LIVE, ActionState

log = logging.getLogger(__name__)

GIVEN_UP = "action.given_up"  # see services.NOT_UNDONE


class ActionNotFound(NotFound):
    """No such action, or another project's."""

    code = "action.not_found"


class NotCancellable(Conflict):
    """The action has ended, or there is no way back from where it is."""

    code = "action.not_cancellable"


class NotStuck(Conflict):
    """The action is not STUCK, or what came after it has made it void."""

    code = "action.not_stuck"


def cancel_action(action_id: uuid.UUID) -> Action:
    """Asks that the action end as CANCELLED, with everything undone; gives it as it is then. May be asked twice.

    Where its pivot was given and not answered, its host is asked whether it has happened, and that decides (rule R5).
    Raises NotCancellable (409) with the reason, ActionNotFound (404).
    """
    with transaction.atomic():
        action = _locked(action_id)
        reason = why_not_cancellable(action)
        if reason is not None:
            raise NotCancellable(f"Cannot cancel action '{action.operation}' {action.pk}: {reason}.")
        if not action.cancel_requested:
            log.warning("action %s is to be cancelled", action.pk)
            runner.cancel(action.pk)
            action.refresh_from_db()
    return action


def why_not_cancellable(action: Action) -> str | None:
    """What keeps the action from being cancelled, in words; None when nothing does."""
    verb = operations().get(action.operation)
    if action.state == ActionState.STUCK:
        return "it is STUCK, which an operator has to look at"
    if action.state not in LIVE:
        return f"it has ended, as {action.state}"
    if verb is None:
        return "this release does not know its operation"
    if verb.goes_forward_only:
        return "there is no way back from it"
    if action.state == ActionState.UNWINDING and action.unwind_reason != "reschedule" and not action.cancel_requested:
        return "it failed and is being undone already"
    if Log(action, action.events.all(), verb.sequence).is_done(verb.pivot):
        return f"it is past its point of no return, {verb.sequence[verb.pivot or 0].name}"
    return None


def try_again(action_id: uuid.UUID) -> Action:
    """Takes a STUCK action up where it is, forward or back, with fresh attempts and a fresh deadline; gives it as it is
    then.

    Raises NotStuck (409) when it is not STUCK or a later action was begun on its target, TargetBusy (409) when one is
    alive there.
    """
    with transaction.atomic():
        action = _locked(action_id)
        _check_stuck(action)
        later = _later(action)
        if later is not None:
            raise NotStuck(
                f"Cannot try action '{action.operation}' {action.pk} again: '{later.operation}' was begun on its "
                "target since. Give it up."
            )
        if action.operation not in operations():
            raise NotStuck(f"This release does not know the operation {action.operation!r}. Give it up.")
        now = timezone.now()
        action.state, action.attempts, action.retried_turn = ActionState.RUNNING, 0, action.turn
        action.deadline = now + timedelta(seconds=settings.ACTION_DEADLINE)
        action.fault = (action.fault or {}).get("cause")
        action.finished_at, action.leg, action.published_at, action.not_before = None, None, None, now
        action.updated_at = now
        try:
            with transaction.atomic():
                action.save()
        except IntegrityError:
            raise TargetBusy(f"Another action is running on {action.target_type} {action.target_id}.") from None
        verb = operations()[action.operation]
        verb.retried(context_of(action, Log(action, action.events.all(), verb.sequence), {}))
        log.warning("a person has action %s (%s) tried again", action.pk, action.operation)
        transaction.on_commit(lambda: _take_up(action), robust=True)
    action.refresh_from_db()
    return action


def give_up(action_id: uuid.UUID, *, by: str) -> Action:
    """A STUCK action is FAILED, and nothing of it is undone: what it left is a delete's to remove, or the doctor's.

    `by`: who says so, for the fault. Raises NotStuck (409).
    """
    with transaction.atomic():
        action = _locked(action_id)
        _check_stuck(action)
        before = action.fault or {}
        message = f"Given up by {by}; what it was STUCK at: {before.get('message', 'unknown')}"[:500]
        action.state, action.fault = ActionState.FAILED, {**before, "code": GIVEN_UP, "message": message}
        action.updated_at = timezone.now()
        action.save(update_fields=["state", "fault", "updated_at"])
        log.warning("%s gave up action %s (%s)", by, action.pk, action.operation)
    return action


def _locked(action_id: uuid.UUID) -> Action:
    action = Action.objects.select_for_update().filter(pk=action_id).first()
    if action is None:
        raise ActionNotFound(f"Action {action_id} could not be found.")
    return action


def _check_stuck(action: Action) -> None:
    if action.state != ActionState.STUCK:
        raise NotStuck(f"Action '{action.operation}' {action.pk} is not STUCK, but {action.state}.")


def _later(action: Action) -> Action | None:
    """What was begun on the target after the action ended."""
    same = Action.objects.filter(target_type=action.target_type, target_id=action.target_id)
    return same.filter(turn__gt=action.turn).exclude(pk=action.pk).order_by("turn").first()


def _take_up(action: Action) -> None:
    """At once, where nothing hinders; else the next sweep does."""
    with context.bound(request_id=action.request_id):
        runner.take_over(action.pk, action.turn, "a person had it tried again", spends_attempt=False)
