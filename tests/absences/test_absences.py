"""Redis and PostgreSQL killed, emptied, standing still, gone: what is asked for meanwhile is answered at once, every
operation ends, and no process needs a hand. And a killed worker, which nobody waits a lease for.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.absences.conftest import DOWN_AFTER, LEASE, AbsenceCloud
from tests.running_cloud import wait_for

pytestmark = [pytest.mark.chaos]

AWAY = DOWN_AFTER + 5.0  # seconds: longer than a host may be silent
AT_ONCE = 4.0  # seconds: a request and 1.5 s for a broker that does not answer, on a busy machine


def hold(seconds: float) -> None:
    """The damage lasts so long: it is what is tested, nothing is waited for."""
    until = time.monotonic() + seconds
    wait_for("the time to pass", lambda: time.monotonic() > until, timeout=seconds + 5)


def assert_all_processes_live(cloud: AbsenceCloud, before: dict[str, int], *harmed: str) -> None:
    """The same processes as before, but for those that were killed: none ended by itself, none needed a hand."""
    wait_for("every program to run", lambda: set(cloud.pids()) == set(before), timeout=30)
    after = cloud.pids()
    changed = {name for name, pid in before.items() if after[name] != pid}
    assert changed <= set(harmed), f"ended by themselves: {changed - set(harmed)}"
    wait_for("the cloud to be well", cloud.is_well, timeout=30)
    wait_for("Flower to answer", cloud.flower_answers, timeout=30)


def assert_work_goes_on(cloud: AbsenceCloud) -> None:
    """A new operation ends as if nothing had been."""
    cloud.at_full_speed()
    before = cloud.states().get("active", 0)
    assert cloud.boot().status_code == 202
    wait_for("a new boot", lambda: cloud.states() == {"active": before + 1}, timeout=30)


def test_redis_is_killed_and_starts_again(absent: AbsenceCloud) -> None:
    before = absent.pids()
    assert_all_ended_well = absent.begin()
    os.kill(before["redis"], signal.SIGKILL)
    assert_all_ended_well()
    assert_all_processes_live(absent, before, "redis")
    assert_work_goes_on(absent)


def test_redis_is_emptied(absent: AbsenceCloud) -> None:
    before = absent.pids()
    assert_all_ended_well = absent.begin()
    absent.redis("FLUSHALL")
    assert_all_ended_well()
    assert_all_processes_live(absent, before)
    assert_work_goes_on(absent)


@pytest.mark.parametrize("how", ["stands still", "is gone"])
def test_redis_does_not_answer_for_longer_than_a_host_may_be_silent(absent: AbsenceCloud, how: str) -> None:
    before = absent.pids()
    assert_all_ended_well = absent.begin()
    absent.slowest.clear()
    with absent.standing_still("redis") if how == "stands still" else absent.without_redis():
        begun = time.monotonic()
        for _ in range(3):
            assert absent.boot().status_code == 202, "what is asked for is accepted"
            assert absent.call("GET", "/compute/v2.1/servers/detail").status_code == 200
        hold(AWAY - (time.monotonic() - begun))
    slowest = dict(absent.slowest)
    back = time.monotonic()
    assert_all_ended_well(23)
    print(f"Redis {how}: slowest {slowest}; all ended {time.monotonic() - back:.1f} s after it was back")
    assert not absent.was_marked_down(), "its conductors could not hear it"
    assert slowest["POST"] < AT_ONCE, f"a request hung: {slowest}"
    assert slowest["GET"] < AT_ONCE, f"a read hung: {slowest}"
    assert_all_processes_live(absent, before, *(["redis"] if how == "is gone" else []))
    assert_work_goes_on(absent)


def test_postgresql_is_killed_and_comes_back(absent: AbsenceCloud) -> None:
    before = absent.pids()
    assert_all_ended_well = absent.begin()
    with absent.without_postgres():
        absent.slowest.clear()
        for method, path in (
            ("GET", "/compute/v2.1/servers/detail"),
            ("POST", "/compute/v2.1/servers"),
            ("GET", "/networking/v2.0/networks"),
            ("GET", "/identity/v3/projects"),
            ("GET", "/image/v2/images"),
            ("GET", "/metrics"),
        ):
            answer = absent.call(method, path, {"server": {}} if method == "POST" else None)
            assert answer.status_code == 503, f"{method} {path}: {answer.status_code} {answer.text[:200]}"
            assert int(answer.headers["Retry-After"]) > 0
            assert "database does not answer" in str(answer.json())
            hold(0.5)
        assert max(absent.slowest.values()) < AT_ONCE
    begun = time.monotonic()
    assert_all_ended_well()
    print(f"PostgreSQL was killed: all ended {time.monotonic() - begun:.1f} s after it was back")
    assert_all_processes_live(absent, before)
    assert_work_goes_on(absent)


def test_a_killed_worker_is_made_up_for_without_waiting_for_a_lease(absent: AbsenceCloud) -> None:
    before = absent.pids()
    assert_all_ended_well = absent.begin(4, seconds=30.0)
    wait_for("a step to begin", lambda: absent.has_begun("create_disk"), timeout=20)
    absent.at_full_speed()
    os.kill(before["compute"], signal.SIGKILL)
    killed = time.monotonic()
    lost = {row[0] for row in absent.query(_OPEN)}
    assert lost, "nothing was at work"
    wait_for("what was lost to be given anew", lambda: not lost & {row[0] for row in absent.query(_OPEN)}, timeout=30)
    recovered = time.monotonic() - killed
    print(f"a worker was killed: {len(lost)} steps were given anew {recovered:.1f} s later")
    assert recovered < 0.8 * LEASE, f"{recovered:.1f} s; a lease is {LEASE} s"
    assert_all_ended_well(4)
    assert_all_processes_live(absent, before, "compute")


_OPEN = "select id from workflow_actionevent where state in ('GIVEN', 'BEGUN') and host <> ''"
