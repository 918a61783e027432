"""Room is given once, to one, and comes back once."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from dataclasses import replace

import pytest
from django.db import transaction
from django.db.models import F

from cloud.workflow.models import Host, Service
from scheduling.claims import CandidatesTaken, claim, hand_over, holds, release
from scheduling.models import Allocation, ComputeNode
from scheduling.services import recount_usage, refresh_schedulable
from scheduling.sweeps import SWEEPS
from tests.threads import in_threads, wait_for_a_waiter
from tests.unit.scheduling.conftest import make_node, spec

ACTION = uuid.uuid4()


def used(host: str = "h1") -> tuple[int, int, int]:
    return ComputeNode.objects.values_list("used_vcpus", "used_memory_mib", "used_disk_gib").get(host=host)


def lose(*args: object, **kwargs: object) -> CandidatesTaken:
    with pytest.raises(CandidatesTaken) as lost, transaction.atomic():
        claim(*args, **kwargs)  # type: ignore[arg-type]
    return lost.value


def test_a_claim_takes_the_room_and_a_release_gives_it_back(db: None) -> None:
    make_node("h1")
    asked = spec(vcpus=2, memory_mib=1024, disk_gib=10)
    assert claim(asked, ["h1"], action_id=ACTION) == "h1"
    assert used() == (2, 1024, 10)
    row = Allocation.objects.get()
    assert (row.consumer, row.host, row.action_id, row.project_id) == (
        asked.instance_id,
        "h1",
        ACTION,
        asked.project_id,
    )
    assert release(asked.instance_id) == 1
    assert used() == (0, 0, 0)
    assert release(asked.instance_id) == 0
    assert used() == (0, 0, 0)


def test_the_same_claim_again_takes_nothing_more(db: None) -> None:
    make_node("h1")
    make_node("h2")
    asked = spec()
    assert claim(asked, ["h1", "h2"], action_id=ACTION) == "h1"
    assert claim(asked, ["h2", "h1"], action_id=ACTION) == "h1"
    assert Allocation.objects.count() == 1
    assert used("h2") == (0, 0, 0)


def test_after_a_reschedule_an_allocation_owed_by_the_excluded_host_is_not_taken_for_the_new_one(db: None) -> None:
    make_node("h1")
    make_node("h2")
    asked = spec()
    claim(asked, ["h1"], action_id=ACTION)
    again = spec(instance_id=asked.instance_id, excluded={"h1": "down"})
    assert claim(again, ["h2"], action_id=ACTION) == "h2"
    assert Allocation.objects.count() == 2
    assert release(asked.instance_id, host="h2") == 1
    assert (used("h1")[0], used("h2")[0]) == (1, 0)


@pytest.mark.parametrize("full", [{"used_vcpus": 8}, {"used_memory_mib": 8000}, {"used_disk_gib": 100}])
def test_a_full_candidate_is_passed_over_and_all_full_is_a_reschedule(db: None, full: dict[str, int]) -> None:
    make_node("h1", **full)
    make_node("h2")
    assert claim(spec(), ["h1", "h2"], action_id=ACTION) == "h2"
    error = lose(spec(), ["h1"], action_id=ACTION)
    assert error.next == "reschedule"
    assert error.context["lost"] == {"h1": "it has no room left, or went down"}
    assert Allocation.objects.count() == 1


def test_overcommit_and_reserve_bound_a_claim_exactly(db: None) -> None:
    make_node("h1", memory_mib=1024, reserved_memory_mib=24, ram_ratio=1.5, cpu_ratio=16)
    assert claim(spec(memory_mib=1500), ["h1"], action_id=ACTION) == "h1"
    lose(spec(memory_mib=1), ["h1"], action_id=ACTION)


def test_a_host_that_went_down_or_was_disabled_is_not_claimed(db: None) -> None:
    make_node("h1", is_schedulable=False)
    lose(spec(), ["h1"], action_id=ACTION)
    lose(spec(), ["nonsense"], action_id=ACTION)
    lose(spec(), [], action_id=ACTION)


def test_an_admins_disabled_host_can_be_claimed_and_one_that_is_down_cannot(db: None) -> None:
    make_node("h1", is_schedulable=False)
    assert claim(spec(host="h1"), ["h1"], action_id=ACTION) == "h1"
    Host.objects.update(is_up=False)
    lose(spec(host="h1"), ["h1"], action_id=ACTION)


def test_a_group_has_no_more_on_a_host_than_it_may(db: None) -> None:
    make_node("h1")
    make_node("h2")
    hosts = [claim(spec(group="g", max_per_host=1), ["h1", "h2"], action_id=ACTION) for _ in range(2)]
    assert hosts == ["h1", "h2"]
    error = lose(spec(group="g", max_per_host=1), ["h1", "h2"], action_id=ACTION)
    assert error.context["lost"]["h1"] == "1 of the group are on it already"
    assert (used("h1")[0], used("h2")[0]) == (1, 1)
    assert claim(spec(group="other", max_per_host=1), ["h1"], action_id=ACTION) == "h1"


@pytest.mark.django_db(transaction=True)
def test_threads_that_claim_at_once_get_exactly_the_room_there_is() -> None:
    for name in ("h1", "h2"):
        make_node(name, vcpus=5)
    results = in_threads(16, lambda i: claim(spec(), ["h1", "h2"] if i % 2 else ["h2", "h1"], action_id=ACTION))
    assert Counter(r for r in results if isinstance(r, str)) == {"h1": 5, "h2": 5}
    assert sum(isinstance(r, CandidatesTaken) for r in results) == 6, results
    assert (used("h1")[0], used("h2")[0]) == (5, 5)
    assert recount_usage() == 0


@pytest.mark.django_db(transaction=True)
def test_a_groups_limit_holds_among_threads() -> None:
    make_node("h1")
    results = in_threads(6, lambda _: claim(spec(group="g", max_per_host=2), ["h1"], action_id=ACTION))
    assert sum(r == "h1" for r in results) == 2, results
    assert used("h1")[0] == 2


@pytest.mark.django_db(transaction=True)
def test_releases_at_once_lower_the_counters_once() -> None:
    make_node("h1")
    asked = spec(vcpus=3)
    claim(spec(), ["h1"], action_id=ACTION)
    claim(asked, ["h1"], action_id=ACTION)
    results = in_threads(8, lambda _: release(asked.instance_id))
    assert sorted(results) == [0] * 7 + [1]
    assert used("h1")[0] == 1


@pytest.mark.django_db(transaction=True)
def test_recounting_while_others_claim_and_release_invents_no_drift() -> None:
    make_node("h1", vcpus=100)

    def work(index: int) -> None:
        if index < 2:
            for _ in range(10):
                recount_usage()
            return
        for _ in range(5):
            asked = spec()
            claim(asked, ["h1"], action_id=ACTION)
            if index % 2:
                release(asked.instance_id)

    assert in_threads(6, work) == [None] * 6
    assert used("h1")[0] == Allocation.objects.count() == 10


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_recount_waits_for_a_claim_under_way_and_counts_it() -> None:
    make_node("h1")
    ComputeNode.objects.update(used_vcpus=3)  # a drift, so that the host is a suspect
    claimed = threading.Event()

    def recount(index: int) -> object:
        if index == 0:
            assert claimed.wait(10)
            return recount_usage()
        with transaction.atomic():
            claim(spec(), ["h1"], action_id=ACTION)
            claimed.set()
            wait_for_a_waiter()
        return None

    assert in_threads(2, recount) == [1, None]
    assert used() == (1, 512, 1)


def test_a_counter_that_drifted_is_put_right_by_the_sweep(db: None) -> None:
    make_node("h1")
    make_node("h2")
    claim(spec(), ["h1"], action_id=ACTION)
    ComputeNode.objects.filter(host="h1").update(used_vcpus=F("used_vcpus") + 3)
    ComputeNode.objects.filter(host="h2").update(used_memory_mib=-7)
    assert recount_usage() == 2
    assert (used("h1"), used("h2")) == ((1, 512, 1), (0, 0, 0))


def test_the_copied_flag_follows_hosts_and_services(db: None) -> None:
    for name in ("up", "down", "disabled", "forced"):
        make_node(name, is_schedulable=name != "up")
    Host.objects.filter(name="down").update(is_up=False)
    Service.objects.filter(host="disabled").update(is_disabled=True)
    Service.objects.filter(host="forced").update(is_forced_down=True)
    assert refresh_schedulable() == 4
    assert list(ComputeNode.objects.filter(is_schedulable=True).values_list("host", flat=True)) == ["up"]
    assert refresh_schedulable() == 0


def test_every_sweep_may_run_twice(db: None) -> None:
    make_node("h1")
    for _ in range(2):
        for _, sweep in SWEEPS:
            sweep()
    assert ComputeNode.objects.get().is_schedulable


# --- moves: two sides, two names --------------------------------------------------------------------------------------


def test_what_is_handed_over_stays_taken_and_may_be_handed_back(db: None) -> None:
    node, migration = make_node("h1"), uuid.uuid4()
    asked = spec()
    claim(asked, ["h1"], action_id=uuid.uuid4())
    before = ComputeNode.objects.values().get(pk=node.pk)
    for _ in range(2):
        assert hand_over(asked.instance_id, migration, "h1")
        assert holds(migration, "h1")
        assert not holds(asked.instance_id, "h1")
    assert ComputeNode.objects.values().get(pk=node.pk) == before
    assert not hand_over(asked.instance_id, uuid.uuid4(), "h1"), "it has nothing there any more"
    assert hand_over(migration, asked.instance_id, "h1")
    assert Allocation.objects.get().consumer == asked.instance_id


def test_both_sizes_of_a_resize_on_one_host_are_held_there_and_never_more_than_there_is(db: None) -> None:
    make_node("h1", vcpus=3)
    migration, asked = uuid.uuid4(), spec(vcpus=1)
    claim(asked, ["h1"], action_id=uuid.uuid4())
    hand_over(asked.instance_id, migration, "h1")
    lose(replace(asked, vcpus=3), ["h1"], action_id=uuid.uuid4())
    assert claim(replace(asked, vcpus=2), ["h1"], action_id=uuid.uuid4()) == "h1"
    assert ComputeNode.objects.get().used_vcpus == 3
    assert release(migration) == 1
    assert ComputeNode.objects.get().used_vcpus == 2
