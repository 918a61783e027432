"""What a verb declares: its steps in order, each with its undo, and what its target becomes.

An operation reads as a table of contents. A conductor step is a function of a `StepContext`, with its undo above it; a
host step is declared in `hypervisor.steps`. `PIVOT` among the steps says that the step after it is the point of no
return: before it a failure unwinds, from it on steps are retried forward (rule R5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

from django.conf import settings
from django.utils.module_loading import import_string

from cloud.api.policy import Caller, require_admin
from cloud.workflow.models import Action, ActionEvent
from cloud.workflow.states import EventState
from hypervisor.steps import HostStep, Role


@dataclass(frozen=True)
class StepContext:
    """What a conductor step gets: the action and what the steps before it returned, by step name.

    `excluded` maps each host on which this action failed already to what it said. `undone`: what the last undo of each
    step returned, by step name. `host`: the host that a leg is being made for, when `inputs` is asked.
    """

    action: Action
    outputs: dict[str, Any]
    excluded: dict[str, str] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    undone: dict[str, Any] = field(default_factory=dict)
    owing_here: frozenset[str] = frozenset()
    host: str = ""

    @property
    def target_id(self) -> Any:
        """The id of what the action is about."""
        return self.action.target_id

    @property
    def parameters(self) -> dict[str, Any]:
        """What the request asked for, as the service wrote it."""
        return self.action.parameters

    def owing(self) -> frozenset[str]:
        """Hosts that owe the target something, to this action or an earlier one: what it holds there it keeps until
        they have paid (rule R8)."""
        events = ActionEvent.objects.filter(state=EventState.OWED, action__target_id=self.target_id)
        others = events.exclude(action=self.action).values_list("host", flat=True)
        return self.owing_here | frozenset(others)

    def once(self, name: str, load: Callable[[], Any]) -> Any:
        """What `load` gives, loaded once in a turn. Who changes such a row changes the remembered one too."""
        if name not in self.memory:
            self.memory[name] = load()
        return self.memory[name]


Work = Callable[[StepContext], dict[str, Any] | None]


@dataclass(frozen=True)
class ConductorStep:
    """A step with the database and without libvirt. It runs in the transaction of `advance` (rule R2)."""

    name: str
    role: Role
    do: Work
    undo: Work | None
    no_undo: str


Step = ConductorStep | HostStep


def step(
    role: Role = Role.CONDUCTOR, *, undo: Work | None = None, no_undo: str = ""
) -> Callable[[Work], ConductorStep]:
    """Declares the function below it as a conductor step with its `undo`, or the reason for having none."""
    if (undo is None) == (no_undo == ""):
        raise ValueError("a step has either an undo or a reason for having none")

    def declare(work: Work) -> ConductorStep:
        return ConductorStep(work.__name__, role, work, undo, no_undo)

    return declare


class Pivot:
    """The type of `PIVOT`."""


PIVOT = Pivot()


class Operation:
    """One verb. Subclasses declare the class attributes and say how rows become what hosts need."""

    name: ClassVar[str]  # the key in the registry, stable for ever
    action: ClassVar[str]  # the name in the action log on the wire, stable for ever
    steps: ClassVar[tuple[Step | Pivot, ...]]
    ends_target: ClassVar[bool] = False  # once it succeeded nothing is ever done to its target again
    # While it is alive, a guest of its target on a host that it gave no step to must go when that host comes back.
    abandons_other_hosts: ClassVar[bool] = False
    max_attempts: ClassVar[int] = 1  # placements: how often the steps may begin from the first one

    sequence: ClassVar[tuple[Step, ...]]
    pivot: ClassVar[int | None]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "steps" in cls.__dict__:
            cls.sequence = tuple(item for item in cls.steps if not isinstance(item, Pivot))
            cls.pivot = cls.steps.index(PIVOT) if PIVOT in cls.steps else None
            pivot = cls.sequence[cls.pivot] if cls.pivot else None
            if isinstance(pivot, HostStep) and pivot.ask is None:
                raise TypeError(f"{cls.__name__}: step {pivot.name} after PIVOT needs an `ask`, see rule R5")

    @property
    def goes_forward_only(self) -> bool:
        """The pivot is the first step: there is nothing to unwind to."""
        return self.pivot == 0

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        """The hosts that carry out steps of `role`, in order."""
        raise NotImplementedError

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """What every host step of a leg is given: JSON, the same for the same rows. `guest`: the GuestSpec."""
        return {}

    def moved_when_fenced(self, context: StepContext, host: str) -> bool | None:
        """Whether the pivot counts as happened when nobody answered and the machine that could is confirmed off. None:
        that says nothing, and the action waits for the host."""
        return None

    def pivot_witnesses(self, context: StepContext) -> tuple[str, ...]:
        """Hosts that see whether the pivot happened while its own host is down. Their yes counts; their no does not:
        what was begun may still be at work."""
        return ()

    def check_caller(self, caller: Caller, action: Action) -> None:
        """Raises what keeps the caller from steering the action, once it may see it. Admins alone, unless the verb is
        everybody's."""
        require_admin(caller, f"steering the action '{action.operation}'")

    def began(self, context: StepContext) -> None:
        """Called in the transaction that accepts the action's first turn."""

    def succeeded(self, context: StepContext) -> None:
        """Called in the transaction that ends the action as SUCCEEDED."""

    def retried(self, context: StepContext) -> None:
        """Called in the transaction in which a person has a STUCK action tried again: what `failed` settled is open."""

    def debt_paid(self, context: StepContext, host: str) -> None:
        """Called when `host` was down while this action ended, is back, and owes the target nothing any more."""

    def failed(self, context: StepContext, fault: dict[str, Any]) -> None:
        """Called in the transaction that ends the action as FAILED, CANCELLED or STUCK; everything given is undone,
        except when it is STUCK."""


@cache
def operations() -> dict[str, Operation]:
    """Every operation by its name, from the registries that settings list."""
    classes = (cls for path in settings.WORKFLOW_OPERATIONS for cls in import_string(path))
    return {cls.name: cls() for cls in classes}


def operation(name: str) -> Operation:
    """The operation of that name. KeyError when there is none."""
    return operations()[name]


def wire_name(name: str) -> str:
    """The action log's name of an operation; the name itself when the operation is no longer registered."""
    known = operations().get(name)
    return known.action if known else name
