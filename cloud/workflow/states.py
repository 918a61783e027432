"""The states of actions and of their events, and which of them are alive."""

from __future__ import annotations

from django.db import models


class ActionState(models.TextChoices):
    """Where an action is. LIVE ones hold their target's slot."""

    PENDING = "PENDING"  # written, not yet begun
    RUNNING = "RUNNING"  # going forward
    UNWINDING = "UNWINDING"  # undoing
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    STUCK = "STUCK"  # a person is needed


LIVE = (ActionState.PENDING, ActionState.RUNNING, ActionState.UNWINDING)


class EventState(models.TextChoices):
    """Where one step of an action is, in one turn. Moves forward only."""

    GIVEN = "GIVEN"  # handed to its host
    BEGUN = "BEGUN"  # the host renews its lease
    DONE = "DONE"
    FAILED = "FAILED"
    OWED = "OWED"  # a debt of a host that is down (rule R8)


OPEN = (EventState.GIVEN, EventState.BEGUN)


class Verb(models.TextChoices):
    """What a step is told to do."""

    DO = "do"
    UNDO = "undo"
    ASK = "ask"  # has the pivot happened? (rule R5)
    FENCE = "fence"  # nothing but raising the turn (rule R4)
