"""Why no host would do: the table host × filter that callers get in the fault, and its one-line summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cloud.errors import Abort
from scheduling.filters import Filter
from scheduling.host_state import HostState
from scheduling.request_spec import RequestSpec

MAX_ROWS = 100


class NoValidHost(Abort):
    """No host passes the filters. `context` has what was needed, how many hosts each filter refused, and the table."""

    code = "scheduling.no_valid_host"


@dataclass(frozen=True)
class Refusal:
    """One host and the first filter that refused it."""

    host: str
    filter: str
    reason: str


@dataclass(frozen=True)
class Explanation:
    """What the filters said of all hosts that could have been meant."""

    passed: tuple[HostState, ...]
    refusals: tuple[Refusal, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many hosts each filter refused, the most first."""
        return dict(Counter(refusal.filter for refusal in self.refusals).most_common())

    def summary(self) -> str:
        """One or two sentences: how many hosts each filter refused, with an example of each."""
        if not self.refusals:
            return "The cloud has no compute host that the request could go to."
        examples = {refusal.filter: refusal for refusal in reversed(self.refusals)}
        parts = [
            f"{name} refused {count} (for example {examples[name].host}: {examples[name].reason})"
            for name, count in self.counts.items()
        ]
        hosts = len(self.refusals)
        return f"Of {hosts} host{'s' if hosts != 1 else ''}: {'; '.join(parts)}"


def explain(spec: RequestSpec, hosts: Sequence[HostState], filters: Sequence[Filter]) -> Explanation:
    """Runs every filter over every host, SQL or not."""
    passed, refusals = [], []
    for host in hosts:
        for item in filters:
            reason = item.why_not(host, spec)
            if reason is not None:
                refusals.append(Refusal(host.host, item.name, reason))
                break
        else:
            passed.append(host)
    return Explanation(tuple(passed), tuple(refusals))


def no_valid_host(spec: RequestSpec, explanation: Explanation) -> NoValidHost:
    """The error that goes into the fault of the action and of the instance."""
    return NoValidHost(
        f"No valid host was found. There are not enough hosts available. {explanation.summary()}",
        **table(spec, explanation),
    )


def table(spec: RequestSpec, explanation: Explanation) -> dict[str, Any]:
    """The explanation as JSON, at most MAX_ROWS hosts of it."""
    return {
        "needed": {"vcpus": spec.vcpus, "memory_mib": spec.memory_mib, "disk_gib": spec.disk_gib, "zone": spec.zone},
        "hosts_total": len(explanation.passed) + len(explanation.refusals),
        "refused": explanation.counts,
        "hosts": [
            {"host": refusal.host, "filter": refusal.filter, "reason": refusal.reason}
            for refusal in explanation.refusals[:MAX_ROWS]
        ],
    }
