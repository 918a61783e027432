"""How hosts are chosen, and what is said when none is."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.core.checks import run_checks

from cloud.workflow.models import Host, Service
from scheduling.explain import MAX_ROWS, NoValidHost
from scheduling.host_state import HostState
from scheduling.models import ComputeNode
from scheduling.request_spec import RequestSpec
from scheduling.scheduler import explain_all, select_hosts
from tests.unit.scheduling.conftest import make_node, spec

HERE = "tests.unit.scheduling.test_scheduler"
SEEN: list[str] = []


def why_not(host: HostState, spec: RequestSpec) -> str | None:
    """A filter that settings name by the path of its module."""
    SEEN.append(host.host)
    return None if host.host.endswith("7") else "Its name does not end in 7."


def weigh(host: HostState, spec: RequestSpec) -> float:
    """A weigher that settings name by its path: the last of the alphabet is the best."""
    return float(host.host[1:])


def many(count: int, **changes: Any) -> None:
    ComputeNode.objects.bulk_create(
        ComputeNode(
            host=f"h{i:04}", zone="nova", is_schedulable=True, vcpus=8, memory_mib=8192 - i, disk_gib=100, **changes
        )
        for i in range(count)
    )


def test_the_host_with_the_most_free_ram_comes_first(db: None) -> None:
    make_node("h1", used_memory_mib=2000)
    make_node("h2", used_memory_mib=1000)
    make_node("h3", used_memory_mib=3000)
    assert select_hosts(spec()).candidates == ("h2", "h1", "h3")


def test_a_negative_multiplier_packs_instead_of_spreading(db: None, settings: Any) -> None:
    settings.RAM_WEIGHT_MULTIPLIER = -1.0
    for i, used in enumerate((2000, 1000, 3000, 8000)):
        make_node(f"h{i}", used_memory_mib=used)
    assert select_hosts(spec()).candidates == ("h2", "h0", "h1")


def test_several_weighers_add_up(db: None, settings: Any) -> None:
    settings.SCHEDULER_WEIGHERS = ("ram", "vcpu", "disk")
    settings.CPU_WEIGHT_MULTIPLIER = 3.0
    settings.DISK_WEIGHT_MULTIPLIER = 0.0
    make_node("ram", used_vcpus=6)
    make_node("vcpu", used_memory_mib=6000)
    make_node("neither", used_memory_mib=6000, used_vcpus=6)
    assert select_hosts(spec()).candidates == ("vcpu", "ram", "neither")


def test_a_third_partys_weigher_is_named_by_its_path(db: None, settings: Any) -> None:
    settings.SCHEDULER_WEIGHERS = ("ram", f"{HERE}.weigh")
    many(3)
    assert set(select_hosts(spec()).candidates) == {"h0000", "h0001", "h0002"}
    settings.SCHEDULER_WEIGHERS = (HERE,)
    assert select_hosts(spec()).candidates == ("h0002", "h0001", "h0000")


def test_equal_hosts_are_drawn_at_random(db: None) -> None:
    for i in range(6):
        make_node(f"h{i}")
    assert len({select_hosts(spec()).candidates[0] for _ in range(60)}) > 2


def test_the_first_is_drawn_among_the_best_of_the_subset(db: None, settings: Any) -> None:
    settings.SCHEDULER_SUBSET_SIZE = 3
    many(10)
    firsts = {select_hosts(spec()).candidates[0] for _ in range(80)}
    assert firsts == {"h0000", "h0001", "h0002"}


def test_one_decision_is_one_query_and_a_limited_list(db: None, django_assert_num_queries: Any) -> None:
    many(300)
    with django_assert_num_queries(1):
        selection = select_hosts(spec())
    assert selection.candidates[:3] == ("h0000", "h0001", "h0002")
    assert len(selection.candidates) == 20


def test_when_a_whole_window_is_filtered_the_next_one_is_looked_at(db: None, settings: Any) -> None:
    settings.SCHEDULER_AVAILABLE_FILTERS = ("ram", HERE)
    settings.SCHEDULER_DEFAULT_FILTERS = ("ram", HERE)
    settings.SCHEDULER_WINDOW = 3
    many(20)
    SEEN.clear()
    selection = select_hosts(spec())
    assert selection.candidates == ("h0007",)
    assert sorted(SEEN) == [f"h{i:04}" for i in range(9)]
    assert selection.left == (("ram from 6", 3), (HERE, 1))


def test_every_host_is_explained_when_none_is_left(db: None) -> None:
    make_node("small", memory_mib=256)
    make_node("east", zone="east")
    make_node("off")
    Service.objects.filter(host="off").update(is_disabled=True, disabled_reason="repair")
    ComputeNode.objects.filter(host="off").update(is_schedulable=False)
    make_node("dead")
    Host.objects.filter(name="dead").update(is_up=False)
    ComputeNode.objects.filter(host="dead").update(is_schedulable=False)
    make_node("tried")
    with pytest.raises(NoValidHost) as refused:
        select_hosts(spec(zone="nova", excluded={"tried": "the disk is full"}))
    error = refused.value
    assert error.message.startswith("No valid host was found. There are not enough hosts available. Of 5 hosts: ")
    assert error.code == "scheduling.no_valid_host"
    rows = {row["host"]: (row["filter"], row["reason"]) for row in error.context["hosts"]}
    assert rows == {
        "small": ("ram", "512 MiB of RAM are needed, 256 are free of the host's 256."),
        "east": ("availability_zone", "Zone nova is needed, the host is in zone east."),
        "off": ("compute", "The compute service of the host is disabled: repair."),
        "dead": ("compute", "The compute service of the host is down."),
        "tried": ("retry", "It failed this request already: the disk is full."),
    }
    assert error.context["refused"] == {"compute": 2, "availability_zone": 1, "ram": 1, "retry": 1}
    assert "ram refused 1 (for example small: 512 MiB of RAM are needed" in error.message


def test_the_table_is_cut_at_its_limit_and_the_counts_are_not(db: None) -> None:
    many(150)
    with pytest.raises(NoValidHost) as refused:
        select_hosts(spec(memory_mib=10_000))
    assert len(refused.value.context["hosts"]) == MAX_ROWS
    assert refused.value.context["hosts_total"] == 150
    assert refused.value.context["refused"] == {"ram": 150}
    assert len(refused.value.message) < 300


def test_without_any_host_the_message_says_so(db: None) -> None:
    with pytest.raises(NoValidHost, match="no compute host"):
        select_hosts(spec())


def test_an_admins_host_wins_over_zone_and_weight_but_not_over_capacity(db: None) -> None:
    make_node("h1", zone="east", used_memory_mib=4000)
    make_node("h2")
    Service.objects.filter(host="h1").update(is_disabled=True)
    ComputeNode.objects.filter(host="h1").update(is_schedulable=False)
    assert select_hosts(spec(host="h1", zone="nova")).candidates == ("h1",)
    assert select_hosts(spec(hypervisor_hostname="h1.example")).candidates == ("h1",)
    with pytest.raises(NoValidHost, match="MiB of RAM are needed"):
        select_hosts(spec(host="h1", memory_mib=8000))
    with pytest.raises(NoValidHost, match="failed this request already"):
        select_hosts(spec(host="h1", excluded={"h1": "x"}))
    with pytest.raises(NoValidHost, match="no compute host"):
        select_hosts(spec(host="h1", hypervisor_hostname="h2.example"))


def test_room_that_came_free_while_looking_is_taken_and_not_refused(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    make_node("h1", used_memory_mib=8192)
    from scheduling import scheduler

    def look(*args: Any) -> Any:
        found = first_window(*args)
        ComputeNode.objects.update(used_memory_mib=0)
        return found

    first_window = scheduler.first_window
    monkeypatch.setattr(scheduler, "first_window", look)
    assert select_hosts(spec()).candidates == ("h1",)


def test_the_decision_is_logged_once_with_counts_and_weights(db: None, caplog: pytest.LogCaptureFixture) -> None:
    make_node("h1")
    make_node("h2", used_memory_mib=100)
    with caplog.at_level(logging.INFO, logger="scheduling"):
        asked = spec()
        select_hosts(asked)
    assert [r.getMessage() for r in caplog.records] == [
        f"hosts for {asked.instance_id}: left retry+availability_zone+ram+disk+vcpu+compute 2; best h1=1.000, h2=0.000"
    ]


def test_the_explaining_pass_also_answers_a_dry_run(db: None) -> None:
    make_node("h1")
    make_node("h2", memory_mib=100)
    explanation = explain_all(spec())
    assert [host.host for host in explanation.passed] == ["h1"]
    assert explanation.counts == {"ram": 1}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SCHEDULER_DEFAULT_FILTERS", ["ram", "nonsense"], "'nonsense', which is not in SCHEDULER_AVAILABLE_FILTERS"),
        ("SCHEDULER_AVAILABLE_FILTERS", ["ram", "no.such.module"], "no filter 'no.such.module'"),
        ("SCHEDULER_WEIGHERS", ["nonsense"], "no weigher 'nonsense'"),
        ("SCHEDULER_WEIGHERS", ["scheduling.claims"], "no weigher 'scheduling.claims'"),
    ],
)
def test_a_filter_or_weigher_that_is_not_there_stops_the_start(
    settings: Any, name: str, value: list[str], words: str
) -> None:
    setattr(settings, name, value)
    if name == "SCHEDULER_AVAILABLE_FILTERS":
        settings.SCHEDULER_DEFAULT_FILTERS = ["ram"]
    errors = [error for error in run_checks() if error.id == "scheduling.E001"]
    assert len(errors) == 1
    assert words in errors[0].msg


def test_a_filter_that_is_left_out_does_not_filter(db: None, settings: Any) -> None:
    make_node("h1", zone="east")
    settings.SCHEDULER_DEFAULT_FILTERS = ("ram", "compute")
    assert select_hosts(spec(zone="west")).candidates == ("h1",)
