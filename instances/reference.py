"""The page `docs/reference/operations.md`: the table of verbs and the steps of each operation, as the code has them."""

from __future__ import annotations

from enum import Enum

from cloud.workflow.operation import Operation, Pivot
from instances.operations import OPERATIONS
from instances.states import VERBS, PowerState, VerbRule, VmState

_HEAD = """# Verbs and operations

Made from `instances/states.py` and `instances/operations` by `./kilonova manage write_reference`; a test compares.

Delete is always possible, and ends whatever runs. Every other verb needs an instance on which nothing runs (task_state
null), else the answer is 409. A locked instance refuses, to callers who are not admins, the verbs marked with a lock.

| verb | from vm_state | power_state | locked | who | task_state | becomes | falls back to |
|---|---|---|---|---|---|---|---|
"""
_STEPS = """
## Steps

Each operation in order; **PIVOT** is the point of no return. A step runs on its role: the conductor (the database, no
libvirt) or a host (libvirt, no database).

| operation | action | steps |
|---|---|---|
"""


def operations_page() -> str:
    """The whole page, in Markdown."""
    rows = "".join(_row(rule) for rule in VERBS.values())
    steps = "".join(_steps(operation) for operation in OPERATIONS)
    return _HEAD + rows + _STEPS + steps


def _row(rule: VerbRule) -> str:
    cells = (
        f"`{rule.verb}`",
        _states(rule.allowed_vm_states, VmState, {VmState.DELETED}),
        _states(rule.allowed_power_states, PowerState, set()),
        "refuses" if rule.refused_when_locked else "",
        "admin" if rule.is_for_admins else "",
        str(rule.task_state) if rule.task_state else "–",
        str(rule.becomes) if rule.becomes else "what it was",
        str(rule.falls_back_to) if rule.falls_back_to else "what it was",
    )
    return f"| {' | '.join(cells)} |\n"


def _states(allowed: frozenset[VmState] | frozenset[PowerState], every: type[Enum], never: set[Enum]) -> str:
    if set(allowed) >= set(every) - never:
        return "any"
    return ", ".join(state.name.lower() for state in every if state in allowed)


def _steps(operation: type[Operation]) -> str:
    shown = [
        "**PIVOT**" if isinstance(item, Pivot) else f"{item.name} ({str(item.role).lower()})"
        for item in operation.steps
    ]
    return f"| `{operation.name}` | `{operation.action}` | {' → '.join(shown)} |\n"
