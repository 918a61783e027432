"""The log: actions and their events; the hosts and services that carry them out."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cloud.workflow.states import LIVE, OPEN, ActionState, EventState, Verb


class Action(models.Model):
    """One request on one target, and the outbox of its messages. At most one is alive on a target.

    `turn` counts the turns of the target over all its actions (rule R1); it never falls. `leg` is the message of the
    turn that hosts are working on, kept so that it can be published again word for word.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    target_type = models.CharField(max_length=32)
    target_id = models.UUIDField()
    operation = models.CharField(max_length=64)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="children")
    project_id = models.CharField(max_length=32, blank=True)
    user_id = models.CharField(max_length=32, blank=True)
    request_id = models.CharField(max_length=64, db_index=True)
    parameters = models.JSONField(default=dict, blank=True)

    state = models.CharField(max_length=16, choices=ActionState, default=ActionState.PENDING)
    turn = models.PositiveBigIntegerField(default=1)
    cursor = models.PositiveSmallIntegerField(default=0)  # the step that comes next, for people who look
    attempts = models.PositiveSmallIntegerField(default=0)  # step attempts spent in this placement
    placements = models.PositiveSmallIntegerField(default=1)  # times that the steps were begun from the first one
    unwind_reason = models.CharField(max_length=16, blank=True)  # "" | failed | reschedule | cancelled
    asking = models.BooleanField(default=False)  # an unanswered pivot is being asked about (rule R5)
    cancel_requested = models.BooleanField(default=False)
    retried_turn = models.PositiveBigIntegerField(default=0)  # a person had it tried again: failures count above it
    superseded_by = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    fault = models.JSONField(null=True, blank=True)  # {code, message, step, host, context}
    leg = models.JSONField(null=True, blank=True)

    deadline = models.DateTimeField()
    not_before = models.DateTimeField(null=True, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["target_type", "target_id"], condition=Q(state__in=LIVE), name="one_live_action_per_target"
            )
        ]
        indexes = [
            models.Index(fields=["target_id", "-created_at"], name="action_of_target"),
            models.Index(fields=["state", "updated_at"], condition=Q(state__in=LIVE), name="action_live"),
            models.Index(fields=["finished_at"], name="action_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.target_id} {self.state}"

    @property
    def is_live(self) -> bool:
        """Holds its target's slot."""
        return self.state in LIVE


class ActionEvent(models.Model):
    """One step of an action, on one host, in one turn. What it returned is in `output`."""

    action = models.ForeignKey(Action, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=64)
    verb = models.CharField(max_length=8, choices=Verb, default=Verb.DO)
    role = models.CharField(max_length=16)
    host = models.CharField(max_length=255, blank=True)  # "" for the conductor
    generation = models.PositiveIntegerField(default=0)
    turn = models.PositiveBigIntegerField()
    state = models.CharField(max_length=8, choices=EventState, default=EventState.GIVEN)
    lease_until = models.DateTimeField(null=True, blank=True)
    output = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    progress = models.JSONField(null=True, blank=True)  # {percent, message, details, is_past}
    # {inputs, outputs} for an OWED step and those of its host and turn after it: what they will be given (rule R8)
    owed = models.JSONField(null=True, blank=True)
    given_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["turn", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["action", "seq", "verb", "host", "turn"], name="one_event_per_step_and_turn"
            )
        ]
        indexes = [
            models.Index(fields=["lease_until"], condition=Q(state__in=OPEN), name="event_open_lease"),
            models.Index(fields=["host"], condition=Q(state=EventState.OWED), name="event_owed"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.name} {self.state}"

    @property
    def is_past(self) -> bool:
        """Its host said that it is over; the result comes with the report of the whole leg."""
        return bool((self.progress or {}).get("is_past"))


class Service(models.Model):
    """One role on one machine, and when it was last seen. `host` is the machine's name."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    binary = models.CharField(
        max_length=64
    )  # nova-conductor, nova-scheduler, nova-compute, kilonova-api, kilonova-beat
    host = models.CharField(max_length=255)
    is_disabled = models.BooleanField(default=False)
    disabled_reason = models.CharField(max_length=255, blank=True)
    is_forced_down = models.BooleanField(default=False)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["binary", "host"], name="one_service_per_binary_and_host")]

    def __str__(self) -> str:
        return f"{self.binary}@{self.host}"

    @property
    def is_up(self) -> bool:
        """Seen within the down limit, and not forced down."""
        if self.is_forced_down or self.last_seen_at is None:
            return False
        return (timezone.now() - self.last_seen_at).total_seconds() < settings.DOWN_AFTER


class Host(models.Model):
    """A machine that runs a compute worker, as the engine knows it. Its key is derived, see `tokens.host_key`.

    `generation` is new whenever the host says hello (rule R6); messages name it. `hello` is the id of the hello that it
    was given for: empty once the host was marked down, and then nothing that it says counts before another.
    """

    name = models.CharField(max_length=255, primary_key=True)
    service = models.OneToOneField(Service, on_delete=models.PROTECT, related_name="compute_host")
    key_serial = models.PositiveIntegerField(default=1)
    generation = models.PositiveIntegerField(default=1)
    hello = models.CharField(max_length=64, blank=True)
    hello_at = models.DateTimeField(null=True, blank=True)  # by the host's clock
    is_up = models.BooleanField(default=False)
    is_fenced = models.BooleanField(default=False)  # confirmed off since it went down: nothing of it runs
    # Switches the machine off and says 0 once it is off: words, `{host}` is the name; see `fencing.py`.
    fence_command = models.CharField(max_length=1024, blank=True)
    fence_asked_at = models.DateTimeField(null=True, blank=True)  # it is to be run; null: it is not, or has been
    fence_began_at = models.DateTimeField(null=True, blank=True)  # a conductor runs it, since then
    fence_said = models.CharField(max_length=1024, blank=True)  # what came of it last

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Watch(models.Model):
    """Whether anybody listens to hosts: only who was listening may say that a host fell silent. One row."""

    name = models.CharField(max_length=32, primary_key=True)
    looked_at = models.DateTimeField()  # the last sweep
    since = models.DateTimeField()  # without a longer absence before it

    class Meta:
        verbose_name_plural = "watches"

    def __str__(self) -> str:
        return self.name


class HostQuery(models.Model):
    """A question that the API asked a host (console output), answered through the conductor. Kept for minutes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.CharField(max_length=255)
    name = models.CharField(max_length=64)
    arguments = models.JSONField(default=dict)
    answer = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "host queries"

    def __str__(self) -> str:
        return f"{self.name} on {self.host}"
