"""What an observation of a guest means for its instance: the table of policies, row by row."""

from __future__ import annotations

import pytest
from django.test import override_settings

from instances.checks import check_policies
from instances.expectations import END_UNEXPECTED_GUEST, POWER_ON_AGAIN, Policy, Row, Sight, is_certain, judge
from instances.states import PowerState, VmState

V, P = VmState, PowerState
_SEEN = {V.STOPPED: P.SHUTDOWN, V.SUSPENDED: P.SHUTDOWN, V.SHELVED: P.SHUTDOWN, V.PAUSED: P.PAUSED}


def outcome(
    vm_state: VmState,
    power_state: PowerState,
    reason: str = "",
    *,
    was: PowerState | None = None,
    previous: str = "",
    was_rebooted: bool = False,
    resumes: bool = True,
    policy: Policy = Policy.STOP,
) -> tuple[VmState | None, str] | None:
    row = Row(
        vm_state=vm_state,
        power_state=_SEEN.get(vm_state, P.RUNNING) if was is None else was,
        previous_vm_state=previous,
    )
    sight = Sight(power_state=power_state, reason=reason)
    found = judge(row, sight, was_rebooted=was_rebooted, resumes=resumes, policy=policy)
    if found is None:
        return None
    assert found.power_state == power_state
    return found.vm_state, found.operation


@pytest.mark.parametrize(
    ("vm_state", "power_state"),
    [(V.ACTIVE, P.RUNNING), (V.STOPPED, P.SHUTDOWN), (V.PAUSED, P.PAUSED), (V.SUSPENDED, P.SHUTDOWN)],
)
def test_what_is_as_expected_is_no_news(vm_state: VmState, power_state: PowerState) -> None:
    for was_rebooted in (False, True):
        assert outcome(vm_state, power_state, "lost", was_rebooted=was_rebooted) is None


@pytest.mark.parametrize("vm_state", [V.BUILDING, V.SHELVED_OFFLOADED, V.DELETED])
def test_an_instance_without_a_guest_follows_none(vm_state: VmState) -> None:
    for power_state in PowerState:
        assert outcome(vm_state, power_state, was_rebooted=True) is None


@pytest.mark.parametrize("reason", ["", "shutdown", "destroyed", "crashed", "lost"])
def test_a_guest_that_went_off_is_stopped(reason: str) -> None:
    assert outcome(V.ACTIVE, P.SHUTDOWN, reason) == (V.STOPPED, "")


@pytest.mark.parametrize(
    ("vm_state", "power_state", "reason", "becomes"),
    [
        (V.ACTIVE, P.CRASHED, "crashed", V.STOPPED),
        (V.ACTIVE, P.NOSTATE, "", V.STOPPED),
        (V.ACTIVE, P.PAUSED, "io_error", None),
        (V.ACTIVE, P.SHUTDOWN, "saved", V.SUSPENDED),
        (V.PAUSED, P.RUNNING, "", V.ACTIVE),
        (V.PAUSED, P.SHUTDOWN, "destroyed", V.STOPPED),
        (V.STOPPED, P.NOSTATE, "", None),
        (V.SUSPENDED, P.NOSTATE, "", None),
        (V.RESCUED, P.SHUTDOWN, "shutdown", None),
        (V.ERROR, P.SHUTDOWN, "shutdown", None),
    ],
)
def test_the_row_follows_its_guest(
    vm_state: VmState, power_state: PowerState, reason: str, becomes: VmState | None
) -> None:
    assert outcome(vm_state, power_state, reason) == (becomes, "")


@pytest.mark.parametrize("vm_state", [V.STOPPED, V.SUSPENDED, V.SHELVED, V.SOFT_DELETED])
def test_by_default_a_guest_that_should_not_run_is_ended(vm_state: VmState) -> None:
    assert outcome(vm_state, P.RUNNING) == (None, END_UNEXPECTED_GUEST)
    assert outcome(vm_state, P.PAUSED) == (None, END_UNEXPECTED_GUEST)


def test_a_guest_started_by_hand_is_adopted_where_the_policy_says_so() -> None:
    assert outcome(V.STOPPED, P.RUNNING, policy=Policy.ADOPT) == (V.ACTIVE, "")
    assert outcome(V.STOPPED, P.PAUSED, policy=Policy.ADOPT) == (V.PAUSED, "")
    assert outcome(V.SUSPENDED, P.RUNNING, policy=Policy.ADOPT) == (V.ACTIVE, "")
    assert outcome(V.SHELVED, P.RUNNING, policy=Policy.ADOPT) == (None, END_UNEXPECTED_GUEST)
    assert outcome(V.SOFT_DELETED, P.RUNNING, policy=Policy.ADOPT) == (None, END_UNEXPECTED_GUEST)


def test_a_guest_started_by_hand_is_only_shown_where_the_policy_says_so() -> None:
    assert outcome(V.STOPPED, P.RUNNING, policy=Policy.IGNORE) == (None, "")
    assert outcome(V.STOPPED, P.RUNNING, was=P.RUNNING, policy=Policy.IGNORE) is None


@pytest.mark.parametrize("policy", list(Policy))
def test_a_guest_that_was_not_there_and_is_again_was_never_to_be_off(policy: Policy) -> None:
    assert outcome(V.STOPPED, P.RUNNING, was=P.NOSTATE, policy=policy) == (V.ACTIVE, "")


@pytest.mark.parametrize(("power_state", "reason"), [(P.SHUTDOWN, "lost"), (P.CRASHED, "crashed"), (P.NOSTATE, "")])
def test_after_a_reboot_of_the_host_guests_come_back(power_state: PowerState, reason: str) -> None:
    def after(vm_state: VmState, **more: object) -> object:
        return outcome(vm_state, power_state, reason, was_rebooted=True, **more)  # type: ignore[arg-type]

    for vm_state in (V.ACTIVE, V.RESCUED):
        assert after(vm_state) == (None, POWER_ON_AGAIN)
    assert after(V.RESIZED, previous="active") == (None, POWER_ON_AGAIN)
    assert after(V.RESIZED, previous="stopped") == (None, "")
    assert after(V.PAUSED) == (V.STOPPED, "")
    assert after(V.ACTIVE, resumes=False) == (V.STOPPED, "")
    for vm_state in (V.STOPPED, V.SUSPENDED):
        assert after(vm_state, was=power_state) is None


@pytest.mark.parametrize("reason", ["shutdown", "destroyed"])
def test_a_guest_that_was_seen_to_end_does_not_come_back_with_its_host(reason: str) -> None:
    assert outcome(V.ACTIVE, P.SHUTDOWN, reason, was_rebooted=True) == (V.STOPPED, "")


def test_an_event_is_certain_when_somebody_saw_the_guest_end() -> None:
    assert is_certain(Sight(power_state=P.RUNNING))
    assert is_certain(Sight(power_state=P.SHUTDOWN, reason="shutdown"))
    assert not is_certain(Sight(power_state=P.SHUTDOWN, reason="lost"))
    assert not is_certain(Sight(power_state=P.CRASHED, reason="crashed"))


@pytest.mark.parametrize(("policy", "errors"), [("stop", 0), ("adopt", 0), ("ignore", 0), ("Stop", 1), ("", 1)])
def test_a_policy_that_is_none_refuses_to_start(policy: str, errors: int) -> None:
    with override_settings(UNEXPECTED_GUEST_POLICY=policy):
        assert len(check_policies()) == errors
