"""Each filter lets a host pass or says in a sentence why not, in Python and in SQL alike."""

from __future__ import annotations

from typing import Any

import pytest

from scheduling.filters import FILTERS
from scheduling.models import ComputeNode
from scheduling.windows import every_host
from tests.unit.scheduling.conftest import make_node, spec, state

BY_NAME = {item.name: item for item in FILTERS}


@pytest.mark.parametrize(
    ("name", "host", "wanted", "sentence"),
    [
        ("retry", {}, {"excluded": {"h1": "no space"}}, "It failed this request already: no space."),
        ("retry", {}, {"excluded": {"h1": ""}}, "It failed this request already: no reason given."),
        ("retry", {}, {"ruled_out": {"h1": "It is there."}, "excluded": {"h1": "x"}}, "It is there."),
        ("availability_zone", {}, {"zone": "east"}, "Zone east is needed, the host is in zone nova."),
        (
            "ram",
            {"free_memory_mib": 100.5},
            {"memory_mib": 512},
            "512 MiB of RAM are needed, 100 are free of the host's 8192.",
        ),
        ("ram", {"free_memory_mib": -5.0}, {}, "512 MiB of RAM are needed, 0 are free of the host's 8192."),
        ("disk", {"free_disk_gib": 3.0}, {"disk_gib": 4}, "4 GiB of disk are needed, 3 are free of the host's 100."),
        ("vcpu", {"free_vcpus": 1.0}, {"vcpus": 2}, "2 vCPUs are needed, 1 are free of the host's 8."),
        ("compute", {"is_up": False}, {}, "The compute service of the host is down."),
        (
            "compute",
            {"is_enabled": False, "disabled_reason": "repair"},
            {},
            "The compute service of the host is disabled: repair.",
        ),
        ("compute", {"is_up": False}, {"host": "h1"}, "The compute service of the host is down."),
    ],
)
def test_a_filter_refuses_with_what_is_needed_and_what_there_is(
    name: str, host: dict[str, Any], wanted: dict[str, Any], sentence: str
) -> None:
    assert BY_NAME[name].why_not(state(**host), spec(**wanted)) == sentence


@pytest.mark.parametrize("item", FILTERS, ids=lambda item: item.name)
def test_a_filter_lets_a_fitting_host_pass(item: Any) -> None:
    exact = state(free_vcpus=1.0, free_memory_mib=512.0, free_disk_gib=1.0)
    assert item.why_not(exact, spec(zone="nova", excluded={"h2": "x"})) is None


def test_an_admin_may_name_a_disabled_host() -> None:
    assert BY_NAME["compute"].why_not(state(is_enabled=False), spec(host="h1")) is None


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"zone": "east"},
        {"memory_mib": 5000},
        {"disk_gib": 60},
        {"vcpus": 5},
        {"excluded": {"plain": "x", "full": "y"}},
        {"excluded": {"plain": "x"}, "ruled_out": {"full": "y"}},
        {"memory_mib": 8192, "vcpus": 8, "disk_gib": 100},
    ],
)
def test_sql_and_python_say_the_same_of_each_host(db: None, wanted: dict[str, Any]) -> None:
    make_node("plain")
    make_node("east", zone="east")
    make_node("full", used_memory_mib=4000, used_vcpus=4, used_disk_gib=50)
    make_node("overcommitted", ram_ratio=1.5, cpu_ratio=16, disk_ratio=1.1, used_memory_mib=8192, used_vcpus=20)
    make_node("reserved", reserved_memory_mib=4096)
    make_node("off", is_schedulable=False)
    ComputeNode.objects.filter(host="off").update(is_schedulable=False)
    from cloud.workflow.models import Host

    Host.objects.filter(name="off").update(is_up=False)
    asked = spec(**wanted)
    for item in FILTERS:
        in_sql = set(ComputeNode.objects.filter(item.sql(asked)).values_list("host", flat=True))
        in_python = {host.host for host in every_host(asked) if item.why_not(host, asked) is None}
        assert in_sql == in_python, item.name
