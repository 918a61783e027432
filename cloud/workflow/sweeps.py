"""Repairs what was interrupted (rules R2, R9). A sweep takes no input, may run twice, and touches hosts only through
actions. Every few seconds beat asks one conductor to run them all, the rooms' too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.db.models import Exists, Min, OuterRef, Q
from django.utils import timezone
from django.utils.module_loading import import_string

from cloud import context
from cloud.workflow import fencing, legs
from cloud.workflow.giving import lease_end
from cloud.workflow.models import Action, ActionEvent, Host, HostQuery, Watch
from cloud.workflow.operation import operation, operations
from cloud.workflow.runner import take_over
from cloud.workflow.states import LIVE, OPEN, ActionState, EventState

log = logging.getLogger(__name__)

_BATCH = 500
_PUBLISH_GRACE = 2.0  # seconds that a commit may take to be followed by its message
_HOUSEKEEPING = 600.0
_HOSTS = "hosts"  # the name of the watch over them


def publish_unpublished() -> None:
    """Publishes what was committed and never sent, and begins again what waited long enough."""
    now = timezone.now()
    rows = Action.objects.filter(state__in=LIVE, published_at=None).filter(
        Q(not_before=None, updated_at__lt=now - timedelta(seconds=_PUBLISH_GRACE)) | Q(not_before__lte=now)
    )
    for action in rows.order_by("updated_at")[:_BATCH]:
        with _one_of_many(action):
            if action.leg is not None or action.state == ActionState.PENDING:
                log.warning("publishes turn %s again", action.turn)
                _publish(action)
            else:
                take_over(action.pk, action.turn, "a step waited to be tried again", spends_attempt=False)


def restart_lost_beginnings() -> None:
    """Publishes the first message of an action again when it was sent and nobody took it for a lease's length."""
    before = timezone.now() - timedelta(seconds=settings.LEASE)
    rows = Action.objects.filter(state=ActionState.PENDING, published_at__lt=before)
    for action in rows.order_by("published_at")[:_BATCH]:
        with _one_of_many(action):
            log.warning("its first message was lost: publishes it again")
            _publish(action)


def repair_silent_legs() -> None:
    """Looks at every leg whose lease ran out: sends it again, or carries the action on in a new turn (rule R9)."""
    rows = (
        ActionEvent.objects.filter(state__in=OPEN, lease_until__lt=timezone.now(), action__state__in=LIVE)
        .exclude(host="")
        .values("action", "turn", "host")
        .annotate(oldest=Min("lease_until"))
        .order_by("oldest")[:_BATCH]
    )
    hosts = {host.name: host for host in Host.objects.filter(name__in={row["host"] for row in rows})}
    for row in rows:
        action = Action.objects.filter(pk=row["action"], turn=row["turn"], state__in=LIVE).first()
        if action is None:
            ActionEvent.objects.filter(action=row["action"], turn=row["turn"], state__in=OPEN).update(lease_until=None)
            continue
        with _one_of_many(action):
            _repair(action, hosts.get(row["host"]), row["host"])


def _repair(action: Action, host: Host | None, name: str) -> None:
    mine = ActionEvent.objects.filter(action=action, turn=action.turn, state__in=OPEN)
    is_late = timezone.now() > action.deadline
    if host is None or not host.is_up:
        take_over(action.pk, action.turn, f"host {name} went down", spends_attempt=False)
    elif any(event.state == EventState.BEGUN and not event.is_past for event in mine):
        take_over(action.pk, action.turn, f"host {name} fell silent at work", spends_attempt=True)
    elif any(event.generation != host.generation for event in mine):
        take_over(action.pk, action.turn, f"host {name} has begun anew", spends_attempt=False)
    elif is_late:
        take_over(action.pk, action.turn, f"host {name} did not begin before the deadline", spends_attempt=True)
    else:
        log.warning("host %s has not begun what is left of turn %s: sends it again", name, action.turn)
        mine.update(lease_until=lease_end())
        _publish(action)


def carry_on_idle_actions() -> None:
    """Takes up a live action that has neither an open step nor a message nor a wait: its turn was cut short."""
    before = timezone.now() - timedelta(seconds=2 * settings.LEASE)
    open_steps = ActionEvent.objects.filter(
        action=OuterRef("pk"), turn=OuterRef("turn"), state__in=OPEN, lease_until__isnull=False
    )
    rows = Action.objects.filter(
        ~Exists(open_steps),
        state__in=(ActionState.RUNNING, ActionState.UNWINDING),
        updated_at__lt=before,
        not_before=None,
    )
    for action in rows.order_by("updated_at")[:_BATCH]:
        with _one_of_many(action):
            take_over(action.pk, action.turn, "its turn was cut short", spends_attempt=True)


def _publish(action: Action) -> None:
    legs.publish([action], operation(action.operation).sequence[0].role)


@contextmanager
def _one_of_many(action: Action) -> Iterator[None]:
    """One action's turn in a sweep: what goes wrong with it must not keep the sweep from those after it."""
    with context.bound(request_id=action.request_id, action=str(action.pk)):
        try:
            yield
        except Exception:
            log.exception("a sweep could not help this action")


def watch_hosts() -> None:
    """Notes that somebody listens to hosts, then marks those down that fell silent meanwhile."""
    now = timezone.now()
    watch, is_new = Watch.objects.get_or_create(name=_HOSTS, defaults={"looked_at": now, "since": now})
    if not is_new:
        away = (now - watch.looked_at).total_seconds()
        if away > _absence():
            log.warning("nobody listened to hosts for %.0f s: they have %.0f s to speak", away, settings.DOWN_AFTER)
            watch.since = now
        watch.looked_at = now
        watch.save()
    mark_hosts_down()


def _absence() -> float:
    """Seconds between two sweeps from which on nobody listened: a host that beats cannot fall silent by a shorter one,
    and sweeps that are late on a busy machine are none."""
    return max(settings.DOWN_AFTER / 2, 3 * settings.SWEEP_INTERVAL)


def mark_hosts_down() -> None:
    """Marks hosts as down whose last heartbeat is older than the limit, or that an operator forced down; and those that
    said hello and never came. Each has to say hello before anything that it says counts again (rule R6).

    Nobody is silent whom nobody listened to: while the conductors, the broker or the database were away, and for a down
    limit after that, only those are marked that an operator forced down.
    """
    now = timezone.now()
    before = now - timedelta(seconds=settings.DOWN_AFTER)
    watch = Watch.objects.filter(name=_HOSTS).first()
    may_judge = watch is None or (watch.since <= before and watch.looked_at >= now - timedelta(seconds=_absence()))
    silent = Q(service__last_seen_at__lt=before) | Q(service__last_seen_at=None)
    forced = Q(is_up=True, service__is_forced_down=True)
    fell_silent = Q(is_up=True) & silent
    never_came = Q(is_up=False, hello_at__lt=before) & ~Q(hello="")
    found = Host.objects.filter(forced | fell_silent | never_came if may_judge else forced)
    for name, is_forced in list(found.values_list("name", "service__is_forced_down")):
        log.warning("host %s is down", name)
        Host.objects.filter(name=name).update(is_up=False, hello="")
        if settings.FENCE_AUTOMATICALLY and not is_forced:  # who forced it down may have work to do there
            fencing.ask_if_possible(name)


def forget_old_rows() -> None:
    """Deletes answered queries after minutes, and ended actions after their retention. A target's last one stays, for
    it holds the target's turn (rule R1), unless it ended the target: no turn comes after a delete. One that a host owes
    something to stays until it has paid."""
    if not cache.add("workflow.forget_old_rows", True, timeout=_HOUSEKEEPING):
        return
    HostQuery.objects.filter(created_at__lt=timezone.now() - timedelta(minutes=10)).delete()
    before = timezone.now() - timedelta(days=settings.ACTION_RETENTION_DAYS)
    newer = Action.objects.filter(
        target_type=OuterRef("target_type"), target_id=OuterRef("target_id"), turn__gt=OuterRef("turn")
    )
    ending = [verb.name for verb in operations().values() if verb.ends_target]
    is_last_word = Q(state=ActionState.SUCCEEDED, operation__in=ending)
    is_owed = Exists(ActionEvent.objects.filter(action=OuterRef("pk"), state=EventState.OWED))
    old = Action.objects.filter(Exists(newer) | is_last_word, ~is_owed, finished_at__lt=before).order_by("finished_at")
    Action.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:_BATCH])).delete()


SWEEPS = (
    ("workflow.mark_hosts_down", watch_hosts),
    ("workflow.fence_hosts", fencing.send_out),
    ("workflow.publish_unpublished", publish_unpublished),
    ("workflow.restart_lost_beginnings", restart_lost_beginnings),
    ("workflow.repair_silent_legs", repair_silent_legs),
    ("workflow.carry_on_idle_actions", carry_on_idle_actions),
    ("workflow.forget_old_rows", forget_old_rows),
)


def run_all() -> None:
    """Runs every room's sweeps, one after the other; one that fails does not keep the others from running."""
    for path in settings.WORKFLOW_SWEEPS:
        for name, sweep in import_string(path):
            try:
                sweep()
            except Exception:
                log.exception("the sweep %s failed", name)
