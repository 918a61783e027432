"""The table of states, patterns of list filters, and what is forgotten by itself."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from instances.models import Fault, Instance
from instances.operations import OPERATIONS
from instances.operations.base import InstanceOperation
from instances.patterns import UnusablePattern, checked
from instances.reference import operations_page
from instances.states import VERBS, TaskState, VmState
from instances.statuses import api_status, rows_with_status
from instances.sweeps import forget_deleted_instances
from instances.transitions import compare_and_set
from tests.unit.instances.conftest import make_instance


@pytest.mark.parametrize("vm_state", list(VmState))
def test_every_vm_state_has_a_status_and_a_filter_finds_it(db: None, vm_state: VmState) -> None:
    row = make_instance("a" * 32, vm_state=vm_state)
    status = api_status(vm_state, None)
    assert status != "UNKNOWN"
    assert row.status == status
    condition = rows_with_status(status)
    assert condition is not None
    assert list(Instance.objects.filter(condition)) == [row]


def test_every_operation_has_its_row_in_the_table() -> None:
    on_instances = [verb for verb in OPERATIONS if issubclass(verb, InstanceOperation)]
    assert {operation.action for operation in on_instances} <= set(VERBS)
    for verb, rule in VERBS.items():
        assert rule.verb == verb
        assert VmState.DELETED not in rule.allowed_vm_states


def test_a_state_changes_only_from_the_states_expected(db: None) -> None:
    row = make_instance("a" * 32)
    assert not compare_and_set(row.pk, expected_vm_state=VmState.STOPPED, vm_state=VmState.ERROR)
    assert not compare_and_set(row.pk, expected_task_state=TaskState.DELETING, vm_state=VmState.ERROR)
    assert not compare_and_set(row.pk, expected_task_state=[TaskState.DELETING], vm_state=VmState.ERROR)
    assert Instance.objects.get().vm_state == VmState.ACTIVE
    either = (VmState.STOPPED, VmState.ACTIVE)
    assert compare_and_set(row.pk, expected_vm_state=either, expected_task_state=None, task_state=TaskState.DELETING)
    assert compare_and_set(row.pk, expected_task_state=[None, TaskState.DELETING], vm_state=VmState.ERROR)
    changed = Instance.objects.get()
    assert (changed.vm_state, changed.task_state) == (VmState.ERROR, TaskState.DELETING)
    assert changed.updated_at > row.updated_at
    Instance.objects.update(deleted_at=timezone.now())
    assert not compare_and_set(row.pk, vm_state=VmState.ACTIVE)


PLAIN = ("web", "^web-[0-9]+$", "a|b", "(web|db)-.*", "w{1,3}eb", r"\d+", "", "web.1", "[a-z]+-[0-9]+", "(a{2}){3}")
COSTLY = (
    "[", "(a+)+$", "(a*)*", "((a+)b)*", "(?:x{1,99}){1,99}", r"(a)\1", "a*a*a*a*", "(" * 300, "x" * 256, "(?<=a+)b",
    "(a?){32}a{32}", "a?" * 100, "(a|a){30}b", "(a|ab)*", "(?:(?:a{0,9}){0,9}){0,9}",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PLAIN)
def test_plain_patterns_are_taken(pattern: str) -> None:
    assert checked(pattern, "name") == pattern


@pytest.mark.parametrize("pattern", COSTLY)
def test_patterns_that_could_run_away_are_refused(pattern: str) -> None:
    begun = time.monotonic()
    with pytest.raises(UnusablePattern):
        checked(pattern, "name")
    assert time.monotonic() - begun < 1


def test_rows_of_instances_deleted_long_ago_are_forgotten_with_their_faults(db: None, settings: Any) -> None:
    settings.INSTANCE_RETENTION_DAYS = 7
    now = timezone.now()
    old = make_instance("a" * 32, deleted_at=now - timedelta(days=8))
    Fault.objects.create(instance=old, message="no")
    kept = [make_instance("a" * 32, deleted_at=now - timedelta(days=6)), make_instance("a" * 32)]
    cache.clear()
    forget_deleted_instances()
    assert set(Instance.objects.all()) == set(kept)
    assert not Fault.objects.exists()


def test_the_reference_says_what_the_code_says() -> None:
    page = Path(settings.BASE_DIR) / "docs" / "reference" / "operations.md"
    assert page.read_text() == operations_page(), "run `manage.py write_reference`"
