"""Findings about hosts themselves: of one that cannot be asked nothing else is concluded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from instances.doctor.finding import Code, Finding


class HostState(StrEnum):
    """How a host answered."""

    ANSWERED = "answered"
    DOWN = "down"
    SILENT = "silent"
    REFUSED = "refused"
    UNREADY = "unready"


DOWN = Code(
    name="host.down",
    finds="a compute host is marked down",
    danger="What it has was not looked at, and its guests may not run.",
    repair="Bring it back, or evacuate its instances (docs/how-to/bring-back-the-instances-of-a-dead-host.md).",
)
SILENT = Code(
    name="host.silent",
    finds="a compute host is up and does not answer within seconds",
    danger="What it has was not looked at. Aborts and console output do not reach it either.",
    repair="See whether the worker of its control queue (compute.<host>.ctl) runs, and whether Redis can be reached.",
)
REFUSED = Code(
    name="host.refused",
    finds="a compute host answers that it cannot say what it has",
    danger="What it has was not looked at.",
    repair="Its log names the error. A worker of an older release does not know the question: upgrade it.",
)
UNREADY = Code(
    name="host.unready",
    finds="a compute host is about to begin anew",
    danger="It is removing what is not its own, so what it said was not looked at.",
    repair="Run the doctor again in a minute.",
)
CODES = (DOWN, SILENT, REFUSED, UNREADY)
_BY_STATE = {
    HostState.DOWN: (DOWN, "is down."),
    HostState.SILENT: (SILENT, "did not answer."),
    HostState.REFUSED: (REFUSED, "refused to answer."),
    HostState.UNREADY: (UNREADY, "is in another generation than a moment ago."),
}


def findings_of_hosts(states: Mapping[str, HostState]) -> Iterator[Finding]:
    """One of each host that did not answer."""
    for host, state in states.items():
        if state in _BY_STATE:
            code, words = _BY_STATE[state]
            yield Finding(code=code, objects={"host": host}, detail=f"Host {host} {words}")
