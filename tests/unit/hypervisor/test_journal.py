"""The journal: what a host remembers must survive a kill, and fence what is late."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hypervisor.journal import Behind, Journal, Running


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def test_the_highest_turn_never_falls(journal: Journal) -> None:
    target = journal.of("i1")
    assert target.highest() == 0
    assert target.raise_turn(5) == 5
    assert target.raise_turn(3) == 5
    assert Journal(journal.directory).of("i1").highest() == 5


def test_a_lower_turn_gets_no_lock(journal: Journal) -> None:
    target = journal.of("i1")
    target.raise_turn(7)
    with pytest.raises(Behind) as refusal, target.locked(6, "late"):
        pass
    assert refusal.value.highest == 7


def test_a_waiter_gives_up_once_a_higher_turn_was_seen(journal: Journal) -> None:
    target = journal.of("i1")
    target.raise_turn(1)
    outcome: list[object] = []

    def wait() -> None:
        try:
            with journal.of("i1").locked(1, "waiter"):
                outcome.append("locked")
        except Behind as behind:
            outcome.append(behind.highest)

    with target.locked(1, "holder"):
        thread = threading.Thread(target=wait)
        thread.start()
        target.raise_turn(2)
        thread.join(timeout=10)
    assert outcome == [2]


def test_a_duplicate_of_what_runs_is_told_so(journal: Journal) -> None:
    target = journal.of("i1")
    target.raise_turn(1)
    with target.locked(1, "token"), pytest.raises(Running), journal.of("i1").locked(1, "token"):
        pass


def test_a_begun_order_is_open_until_it_is_finished_or_settled(journal: Journal) -> None:
    target = journal.of("i1")
    target.raise_turn(1)
    target.begin("t1", {"name": "create_disk"})
    assert target.has_open_entry()
    found = target.find("t1")
    assert found is not None
    assert found.result is None
    target.settled()
    assert not target.has_open_entry()
    target.begin("t2", {"name": "create_disk"})
    target.finish("t2", {"status": "done"})
    assert not target.has_open_entry()
    stored = target.find("t2")
    assert stored is not None
    assert stored.result == {"status": "done"}
    assert target.find("t3") is None


def test_a_torn_line_swallows_nothing_else(journal: Journal) -> None:
    target = journal.of("i1")
    target.raise_turn(1)
    target.begin("t1", {"name": "x"})
    with (target.directory / "log").open("ab") as log:
        log.write(b'\n{"token": "t1", "resu')
    target.finish("t1", {"status": "done"})
    stored = target.find("t1")
    assert stored is not None
    assert stored.result == {"status": "done"}


def test_a_long_log_is_forgotten_but_not_the_fence(journal: Journal) -> None:
    target = journal.of("i1")
    target.raise_turn(9)
    target.begin("t1", {"padding": "x" * 70_000})
    target.compact()
    assert target.find("t1") is not None, "an open entry must not be forgotten"
    target.finish("t1", {"status": "done"})
    target.compact()
    assert target.find("t1") is None
    assert target.highest() == 9


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc"])
def test_a_target_id_is_one_path_component(journal: Journal, name: str) -> None:
    with pytest.raises(ValueError, match="target id"):
        journal.of(name)
