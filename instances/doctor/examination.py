"""One examination: look, ask every host, look at the rows, and look again who was left alone meanwhile.

Of a target that an action is at work on, or was since the first look, nothing is said: so an examination may run at any
time, and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from django.utils import timezone

from cloud.workflow.models import Host
from cloud.workflow.queries import HostRefused, ask_each
from hypervisor.holdings import HostHoldings
from hypervisor.spec import decode
from instances.doctor.families import FAMILIES
from instances.doctor.finding import Finding
from instances.doctor.hosts import HostState, findings_of_hosts
from instances.doctor.look import Look
from instances.doctor.stamps import Stamps

log = logging.getLogger(__name__)

HOST_PATIENCE = 5.0  # seconds that all hosts together have to answer

Say = Callable[[str], None]


def quietly(line: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class Examination:
    """What was found. `hosts`: every host and how it answered. `stamps`: the moment to which the findings belong.
    `in_work`: keys of what looked wrong and was being worked on, so that nothing is said of it."""

    findings: tuple[Finding, ...]
    hosts: Mapping[str, HostState]
    stamps: Stamps
    checked_at: datetime
    in_work: frozenset[str] = frozenset()


def examine(*, say: Say = quietly, patience: float = HOST_PATIENCE) -> Examination:
    """Examines the whole cloud in about `patience` seconds at most. `say` is told what is going on, line by line."""
    before = Stamps.read()
    generations = _generations()
    states, holdings = _ask_hosts(generations, say, patience)
    say("comparing with the database")
    look = Look.at(_settled(states, holdings, generations), before)
    found = [finding for family in FAMILIES for finding in family.findings(look)]
    after = Stamps.read()
    quiet = [finding for finding in found if before.is_quiet_until(after, finding.concerns)]
    in_work = frozenset(finding.key for finding in found) - {finding.key for finding in quiet}
    if in_work:
        log.info("%d things that look wrong are being worked on: not counted", len(in_work))
    return Examination((*findings_of_hosts(states), *quiet), states, after, timezone.now(), in_work)


def _generations() -> dict[str, int]:
    """Of every host; 0 for one that is down, whether a sweep has marked it so yet or not."""
    rows = Host.objects.select_related("service").order_by("name")
    return {row.name: row.generation if row.is_up and row.service.is_up else 0 for row in rows}


def _ask_hosts(
    generations: Mapping[str, int], say: Say, patience: float
) -> tuple[dict[str, HostState], dict[str, HostHoldings]]:
    states = {name: HostState.ANSWERED if generation else HostState.DOWN for name, generation in generations.items()}
    holdings: dict[str, HostHoldings] = {}

    def heard(host: str, answer: Any) -> None:
        if isinstance(answer, Exception):
            states[host] = HostState.REFUSED if isinstance(answer, HostRefused) else HostState.SILENT
            say(f"host {host}: {answer}")
            return
        try:
            held = holdings[host] = _read(answer)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            states[host] = HostState.REFUSED
            say(f"host {host}: its answer cannot be read: {error}")
        else:
            say(f"host {host}: {len(held.domains)} domains, {len(held.directories)} directories")

    for host, state in states.items():
        say(f"host {host}: {'asking' if state == HostState.ANSWERED else 'down, not asked'}")
    up = [host for host, state in states.items() if state == HostState.ANSWERED]
    ask_each(up, "inspect", {}, patience, heard=heard)
    return states, holdings


def _read(answer: dict[str, Any]) -> HostHoldings:
    """What the host said. Ids and addresses that are none raise ValueError here, and not where they are compared."""
    held = decode(HostHoldings, answer)
    ports = [port for network in held.networks for port in network.ports]
    ids = [named.instance_id for named in held.domains] + [named.instance_id for named in held.directories]
    ids += [port.instance_id for port in ports] + [step.target for step in held.open_steps]
    for text in (*ids, *(network.id for network in held.networks)):
        UUID(text)
    for tunnel in (network.tunnel for network in held.networks if network.tunnel is not None):
        for text in filter(None, (tunnel.local, *tunnel.peers)):
            ip_address(text)
    return held


def _settled(
    states: dict[str, HostState], holdings: Mapping[str, HostHoldings], generations: Mapping[str, int]
) -> dict[str, HostHoldings]:
    """What the hosts say that were in one generation all the time: one that begins anew is about to change what it has,
    without an action."""
    now = _generations()
    settled = {}
    for host, held in holdings.items():
        if held.generation == generations[host] == now.get(host):
            settled[host] = held
        else:
            states[host] = HostState.UNREADY
    return settled
