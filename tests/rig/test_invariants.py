"""That the invariants see each breach: a check that cannot fail proves nothing. No rig is needed for this."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.rig.invariants import breaches
from tests.rig.records import Records

A, B = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SIZE = (1, 128, 1)


def row(**more: Any) -> dict[str, Any]:
    size = {"vcpus": 1, "memory_mib": 128, "disk_gib": 1}
    return {"host": "h1", "vm_state": "active", "task_state": None, "power_state": 1, **size, **more}


WELL = Records(
    instances={A: row()}, allocations={A: {"h1": SIZE}}, used={"h1": SIZE, "h2": (0, 0, 0), "h3": (0, 0, 0)}, live={}
)


def found(records: Records, domains: dict[str, dict[str, str]] | None = None, **directories: set[str]) -> list[str]:
    """Breaches, with h1 and h2 on shared storage; what is not said is as it should be."""
    shared = directories.get("shared", {A})
    listed = {"h1": shared, "h2": shared, "h3": directories.get("h3", set())}
    return breaches(records, {"h1": {A: "running"}, "h2": {}, "h3": {}, **(domains or {})}, listed)


def test_nothing_is_wrong_when_nothing_is() -> None:
    assert found(WELL) == []


def test_a_stopped_instance_has_its_domain_off() -> None:
    stopped = replace(WELL, instances={A: row(vm_state="stopped")})
    assert found(stopped, {"h1": {A: "shut off"}}) == []
    assert len(found(stopped)) == 1


def test_a_shelved_and_offloaded_instance_holds_nothing_anywhere() -> None:
    offloaded = Records(
        instances={A: row(vm_state="shelved_offloaded", host="")}, allocations={}, used={"h1": (0, 0, 0)}, live={}
    )
    assert found(offloaded, {"h1": {}}, shared=set()) == []
    assert len(found(offloaded, {"h1": {}})) >= 1


def test_nothing_is_said_of_what_an_action_is_at_work_on() -> None:
    busy = replace(WELL, instances={A: row(task_state="migrating")}, live={A: "migrate"})
    assert found(busy, {"h1": {}, "h2": {A: "paused"}}, h3={A}) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (replace(WELL, used={"h1": (2, 256, 2)}), "counts"),
        (replace(WELL, allocations={}, used={}), "holds of none"),
        (replace(WELL, allocations={A: {"h2": SIZE}}, used={}), "holds of {'h2'}"),
        (replace(WELL, allocations={A: {"h1": (1, 192, 2)}}, used={}), "is (1, 128, 1) and holds"),
        (replace(WELL, allocations={A: {"h1": SIZE}, B: {"h2": SIZE}}, used={}), "which is no instance"),
        (replace(WELL, instances={A: row(task_state="spawning")}), "no action of it is alive"),
    ],
)
def test_a_breach_in_the_records_is_named(broken: Records, said: str) -> None:
    sentences = found(broken)
    assert len(sentences) == 1, sentences
    assert said in sentences[0]


@pytest.mark.parametrize(
    ("domains", "said"),
    [
        ({"h1": {}}, "its domain there is absent"),
        ({"h1": {A: "paused"}}, "its domain there is paused"),
        ({"h2": {A: "running"}}, "and the instance is on h1"),
        ({"h3": {B: "shut off"}}, "no instance's"),
    ],
)
def test_a_domain_that_is_not_as_its_row_says_is_named(domains: dict[str, dict[str, str]], said: str) -> None:
    sentences = found(WELL, domains)
    assert len(sentences) == 1, sentences
    assert said in sentences[0]


def test_a_directory_that_is_nobodys_or_elsewhere_or_missing_is_named() -> None:
    assert "no instance's" in found(WELL, h3={B})[0]
    assert "no instance's" in found(WELL, h3={f".removing-{A}"})[0]
    assert "and the instance is on h1" in found(WELL, h3={A})[0]
    assert "has no directory there" in found(WELL, shared=set())[0]
