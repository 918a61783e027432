"""Which filters and weighers are in force, from settings.

`SCHEDULER_AVAILABLE_FILTERS` (default: all of ours) names what may be used, ours by name, others by dotted path (a
function `why_not(host, spec)`, or a module that has one); `SCHEDULER_DEFAULT_FILTERS` names which of them are run, in
order; `SCHEDULER_WEIGHERS` (default: ram) likewise, a dotted path being a function `weigh(host, spec)` or its module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from django.conf import settings

from scheduling.filters import FILTERS, Filter
from scheduling.weighers import WEIGHERS, Weigher

_OUR_FILTERS = {item.name: item for item in FILTERS}
_OUR_WEIGHERS = {item.name: item for item in WEIGHERS}


class UnknownPart(Exception):
    """Settings name a filter or weigher that cannot be found or is not available."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Pipeline:
    """The filters in order, and the weighers that count with their multipliers."""

    filters: tuple[Filter, ...]
    weighers: tuple[tuple[Weigher, float], ...]

    @property
    def in_sql(self) -> tuple[Filter, ...]:
        """The filters that the database can apply."""
        return tuple(item for item in self.filters if item.sql is not None)

    @property
    def in_python(self) -> tuple[Filter, ...]:
        """The filters that must see each host."""
        return tuple(item for item in self.filters if item.sql is None)


def configured() -> Pipeline:
    """The pipeline that settings ask for. UnknownPart when they cannot be followed."""
    available = tuple(getattr(settings, "SCHEDULER_AVAILABLE_FILTERS", tuple(_OUR_FILTERS)))
    wanted = tuple(getattr(settings, "SCHEDULER_DEFAULT_FILTERS", tuple(_OUR_FILTERS)))
    weighers = tuple(getattr(settings, "SCHEDULER_WEIGHERS", ("ram",)))
    multipliers = tuple(float(getattr(settings, item.setting, 1.0)) for item in WEIGHERS)
    return _build(available, wanted, weighers, multipliers)


@lru_cache(maxsize=16)
def _build(
    available: tuple[str, ...], wanted: tuple[str, ...], weighers: tuple[str, ...], multipliers: tuple[float, ...]
) -> Pipeline:
    for name in wanted:
        if name not in available:
            raise UnknownPart(
                f"SCHEDULER_DEFAULT_FILTERS names {name!r}, which is not in SCHEDULER_AVAILABLE_FILTERS.",
                f"Available are: {', '.join(available)}.",
            )
    of_setting = dict(zip((item.setting for item in WEIGHERS), multipliers, strict=True))
    chosen = [(part, of_setting.get(part.setting, 1.0)) for part in map(_weigher, weighers)]
    # Those that are merely available are looked up too: a wrong path must be found at start, not when it is used.
    found = {name: _filter(name) for name in available}
    return Pipeline(
        filters=tuple(found[name] for name in wanted),
        weighers=tuple((part, multiplier) for part, multiplier in chosen if multiplier),
    )


def _filter(name: str) -> Filter:
    return _OUR_FILTERS.get(name) or Filter(name, _imported(name, "why_not", "filter", tuple(_OUR_FILTERS)))


def _weigher(name: str) -> Weigher:
    ours = _OUR_WEIGHERS.get(name)
    return ours or Weigher(name, _imported(name, "weigh", "weigher", tuple(_OUR_WEIGHERS)), setting="")


def _imported(path: str, function: str, what: str, ours: tuple[str, ...]) -> Callable[..., Any]:
    hint = f"Name one of ours ({', '.join(ours)}), or the dotted path of a function {function}(host, spec)."
    module_path, _, name = path.rpartition(".")
    for holder, attribute in ((path, function), (module_path, name)):
        if not holder or "." not in path:
            continue
        try:
            found = getattr(import_module(holder), attribute, None)
        except ImportError:
            continue
        if callable(found):
            return found  # type: ignore[no-any-return]
    raise UnknownPart(f"The scheduler has no {what} {path!r}.", hint)
