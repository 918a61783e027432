"""What a finding is: a code from a family's table, the objects, the targets that it speaks of, and its repair."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class Code:
    """One kind of damage: a row of the table in `docs/how-to/doctor.md`. `repair`: what `--fix` does, or what a person
    may do."""

    name: str
    finds: str
    danger: str
    repair: str
    is_safe: bool = False


@dataclass(frozen=True, kw_only=True)
class InTransaction:
    """A repair of rows: `work` runs in one transaction, in which nothing was found to have changed. False: it was not
    needed any more."""

    work: Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class Clearing:
    """A repair on a host: what is left there of `target` goes. All of one target become one action."""

    target: UUID
    host: str
    domain: bool = False
    ports: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CacheClearing:
    """A repair on a host: something there that belongs to no instance goes. `what`: see the step `clear_cache`."""

    host: str
    what: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Telling:
    """A repair on a host: it is told anew of the hosts of a network, and makes its tunnel there as it should be."""

    network: UUID
    host: str


@dataclass(frozen=True, kw_only=True)
class Restoring:
    """A repair on a host: the instance's guest is made anew."""

    instance: UUID


Fix = InTransaction | Clearing | CacheClearing | Telling | Restoring


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong. `concerns`: targets of actions; an action at work on one of them makes the finding void.
    `detail`: what was seen, a sentence."""

    code: Code
    objects: Mapping[str, str]
    detail: str
    concerns: frozenset[UUID] = field(default_factory=frozenset)
    fix: Fix | None = None

    def __post_init__(self) -> None:
        if self.code.is_safe != (self.fix is not None):
            raise ValueError(f"{self.code.name} is {'safe' if self.code.is_safe else 'not safe'}, as its code says")

    @property
    def key(self) -> str:
        """The same whenever the same is found again."""
        text = json.dumps([self.code.name, sorted(self.objects.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def danger(self) -> str:
        """What was seen, and what may come of it."""
        return f"{self.detail} {self.code.danger}"
