"""Findings about counters. Quotas are counted from the instances when they are asked for, so they cannot be wrong; what
a compute node counts as used is stored, and must be the sum of its allocations."""

from __future__ import annotations

from collections.abc import Iterator

from instances.doctor.finding import Code, Finding, InTransaction
from instances.doctor.look import Look
from scheduling.services import miscounted, recount_usage

WRONG = Code(
    name="usage.wrong",
    finds="what a compute node counts as used is not the sum of its allocations",
    danger="The scheduler gives it too much or too little.",
    repair="It is counted anew. The conductors' sweep does so once a minute: see that it runs.",
    is_safe=True,
)
CODES = (WRONG,)


def findings(look: Look) -> Iterator[Finding]:
    """All of this family."""
    for host, wrong in miscounted().items():
        words = ", ".join(f"{name} should be {value}" for name, value in sorted(wrong.items()))
        yield Finding(
            code=WRONG,
            objects={"host": host},
            detail=f"Host {host} counts wrong: {words}.",
            fix=InTransaction(work=_recount),
        )


def _recount() -> bool:
    recount_usage()
    return True
