"""The way in: start an action on a target, supersede the one that runs, enrol a host. Call inside a transaction."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q
from django.utils import timezone

from cloud import context
from cloud.errors import Conflict
from cloud.workflow import legs
from cloud.workflow.models import Action, ActionEvent, Host, Service
from cloud.workflow.operation import operation
from cloud.workflow.states import LIVE, OPEN, ActionState, EventState

log = logging.getLogger(__name__)

NOT_UNDONE = ("action.reset", "action.given_up")  # faults of actions that a person ended as they were
_TRIES = 3  # to supersede what began a moment earlier


class TargetBusy(Conflict):
    """Another action holds the target."""

    code = "action.target_busy"


class HostIsUp(Conflict):
    """The host is up."""

    code = "host.is_up"


def start_actions(
    *,
    operation: str,
    targets: Sequence[uuid.UUID],
    target_type: str = "instance",
    project_id: str,
    user_id: str,
    parameters: dict[str, Any] | Sequence[dict[str, Any]],
    parent: Action | None = None,
    is_new: bool = False,
) -> list[Action]:
    """Writes one PENDING action for each target and publishes them when the transaction commits.

    `parameters` is one for all or one each. `parent`: the action that these belong to, or are about. `is_new` says that
    the targets were made in this transaction, so none had an action before. Raises TargetBusy (409) when a live action
    holds a target; nothing is written then.
    """
    each = [parameters] * len(targets) if isinstance(parameters, dict) else list(parameters)
    now = timezone.now()
    actions = [
        Action(
            target_type=target_type,
            target_id=target,
            operation=operation,
            parent=parent,
            project_id=project_id,
            user_id=user_id,
            request_id=context.request_id(),
            parameters=wanted,
            deadline=now + timedelta(seconds=settings.ACTION_DEADLINE),
            created_at=now,
            updated_at=now,
        )
        for target, wanted in zip(targets, each, strict=True)
    ]
    try:
        with transaction.atomic():
            Action.objects.bulk_create(actions)
            if not is_new:
                _take_next_turns(target_type, actions)
    except IntegrityError:
        busy = Action.objects.filter(target_type=target_type, target_id__in=targets, state__in=LIVE).first()
        doing = f"action {busy.operation!r} ({busy.state})" if busy else "another action"
        raise TargetBusy(f"Cannot '{operation}' {target_type} now: {doing} is running on it.") from None
    _publish_on_commit(actions)
    return actions


def supersede(
    *,
    operation: str,
    target: uuid.UUID,
    target_type: str = "instance",
    project_id: str,
    user_id: str,
    parameters: dict[str, Any] | None = None,
    hosts: Sequence[str] = (),
) -> Action:
    """Starts an action that ends whatever runs on the target, as CANCELLED, in this transaction (rule R4).

    The new action's parameters name `hosts` and every host that the ended action's log gave a step to. A live action
    of the same operation is not ended: it is given back.
    """
    for _ in range(_TRIES):
        try:
            with transaction.atomic():
                return _supersede(operation, target, target_type, project_id, user_id, parameters or {}, hosts)
        except IntegrityError:  # another action took the slot a moment earlier: now it is there to be seen
            continue
    raise TargetBusy(f"Cannot '{operation}' {target_type} now: other actions keep starting on it. Try again.")


def _supersede(
    name: str,
    target: uuid.UUID,
    target_type: str,
    project_id: str,
    user_id: str,
    parameters: dict[str, Any],
    hosts: Sequence[str],
) -> Action:
    live = Action.objects.select_for_update().filter(target_type=target_type, target_id=target, state__in=LIVE).first()
    if live is not None and live.operation == name:
        return live
    now = timezone.now()
    # What is STUCK, or was ended by a person without undoing, left something behind, on hosts that the target's own row
    # may not name any more.
    not_undone = Q(action__state=ActionState.STUCK) | Q(action__fault__code__in=NOT_UNDONE)
    unfinished = Q(action=live) | (Q(action__target_type=target_type, action__target_id=target) & not_undone)
    given = ActionEvent.objects.filter(unfinished).exclude(host="").order_by("pk").values_list("host", flat=True)
    touched = list(dict.fromkeys([*(host for host in hosts if host), *given]))
    if live is not None:
        live.state, live.finished_at, live.updated_at, live.leg = ActionState.CANCELLED, now, now, None
        live.fault = {"code": "action.superseded", "message": f"Ended by '{name}'."}
        live.save(update_fields=["state", "finished_at", "updated_at", "leg", "fault"])
    action = Action.objects.create(
        target_type=target_type,
        target_id=target,
        operation=name,
        project_id=project_id,
        user_id=user_id,
        request_id=context.request_id(),
        parameters={**parameters, "hosts": touched, "superseded": str(live.pk) if live else None},
        deadline=now + timedelta(seconds=settings.ACTION_DEADLINE),
        created_at=now,
        updated_at=now,
    )
    _take_next_turns(target_type, [action])
    if live is not None:
        Action.objects.filter(pk=live.pk).update(superseded_by=action)
        ActionEvent.objects.filter(action=live, state__in=OPEN).update(
            state=EventState.FAILED, error=live.fault, finished_at=now, lease_until=None
        )
    _publish_on_commit([action])
    return action


def end_live(*, target: uuid.UUID, target_type: str = "instance", fault: dict[str, Any]) -> Action | None:
    """Ends the action that is alive on the target, as FAILED with `fault`, without undoing anything; None when none is.

    For an operator who takes the consequences. What a host still does for it acts at most until the target's next
    action, whose turn fences it (rules R1, R3).
    """
    rows = Action.objects.select_for_update().filter(target_type=target_type, target_id=target, state__in=LIVE)
    with transaction.atomic():
        live = rows.first()
        if live is None:
            return None
        now = timezone.now()
        live.state, live.fault, live.finished_at, live.updated_at = ActionState.FAILED, fault, now, now
        live.leg, live.turn = None, live.turn + 1
        live.save(update_fields=["state", "fault", "finished_at", "updated_at", "leg", "turn"])
        live.events.filter(state__in=OPEN).update(
            state=EventState.FAILED, error=fault, finished_at=now, lease_until=None
        )
    return live


def enroll_host(*, name: str, renews_key: bool = False) -> Host:
    """Makes the host known, or finds it: its service row and its engine row. Its key is `tokens.host_key(host)`.

    `renews_key`: one that was known gets another key, and nothing signed with the one before counts any more.
    """
    with transaction.atomic():
        service, _ = Service.objects.get_or_create(binary="nova-compute", host=name)
        host, is_new = Host.objects.get_or_create(name=name, defaults={"service": service})
        if renews_key and not is_new:
            Host.objects.filter(pk=name).update(key_serial=F("key_serial") + 1)
            host.refresh_from_db()
    return host


def confirm_fenced(host: Host) -> None:
    """Notes that the machine of a host that is down is off: a fence command said so, or an admin does. What waits for
    the host is tried now. Nothing that it said before counts any more, it has to say hello.

    Raises HostIsUp (409) for one that is up, or that said hello since `host` was read.
    """
    same = Host.objects.filter(pk=host.pk, is_up=False, generation=host.generation)
    if not same.update(is_fenced=True, hello="", fence_asked_at=None):
        raise HostIsUp(
            f"Host {host.name} is up or has just spoken; force its service down and wait until it is marked down."
        )
    log.warning("host %s is confirmed off", host.name)
    now = timezone.now()
    waiting = Action.objects.filter(state__in=LIVE, not_before__gt=now, events__host=host.name)
    Action.objects.filter(pk__in=list(waiting.values_list("pk", flat=True))).update(not_before=now)


def _take_next_turns(target_type: str, actions: Sequence[Action]) -> None:
    """Gives new actions the turn after their target's last (rule R1). Asked once they hold their slots: before that,
    the action that held one could still take a turn, which two actions would then have had."""
    own = [action.pk for action in actions]
    others = Action.objects.filter(target_type=target_type, target_id__in=[action.target_id for action in actions])
    rows = others.exclude(pk__in=own).values("target_id").annotate(last=Max("turn"))
    last = {row["target_id"]: row["last"] for row in rows}
    for action in actions:
        if action.target_id in last:
            action.turn = last[action.target_id] + 1
            Action.objects.filter(pk=action.pk).update(turn=action.turn)


def _publish_on_commit(actions: Sequence[Action]) -> None:
    if actions:
        legs.publish_on_commit(actions, operation(actions[0].operation).sequence[0].role)
