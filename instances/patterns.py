"""Patterns that users send as list filters: regular expressions whose cost is bounded.

SQLite matches with Python's `re`, which backtracks; PostgreSQL has an engine of its own. Both get only patterns in
which the ways to match are few: each choice (`?`, `*`, `|`) multiplies them, and the product has a limit.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from cloud.errors import BadRequest

MAX_LENGTH = 255
LONGEST_TEXT = 255  # what is matched is a name
MAX_WAYS = 4 * LONGEST_TEXT**2  # two free repetitions and two optional parts
_SINGLE = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT"})
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})


class UnusablePattern(BadRequest):
    """A list filter is no regular expression, or one that could take too long."""

    code = "request.unusable_pattern"


class _TooCostly(Exception):
    """Why a pattern is refused."""


def checked(pattern: str, field: str) -> str:
    """`pattern` when it may be given to the database. Raises UnusablePattern naming the field, the value and why."""
    reason = _why_not(pattern)
    if reason:
        raise UnusablePattern(
            f"Invalid input for query parameter {field}. Value: {pattern[:80]!r}. It is no usable regular expression: "
            f"{reason}.",
            field=field,
        )
    return pattern


def _why_not(pattern: str) -> str | None:
    if len(pattern) > MAX_LENGTH:
        return f"it is longer than {MAX_LENGTH} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a pattern whose meaning will change is refused, not guessed
            re.compile(pattern)
            tree = re._parser.parse(pattern)  # type: ignore[attr-defined]
        ways = _ways(tree)
    except (re.error, Warning, RecursionError, OverflowError, _TooCostly) as error:
        return str(error)
    return "it could match in too many ways" if ways > MAX_WAYS else None


def _ways(tree: Any) -> int:
    """An upper bound of the ways in which a sequence matches from one place of a text."""
    ways = 1
    for operation, argument in tree:
        ways *= _ways_of(str(operation), argument)
    return ways


def _ways_of(name: str, argument: Any) -> int:
    if name in _SINGLE:
        return 1
    if name == "SUBPATTERN":
        return _ways(argument[3])
    if name == "BRANCH":
        return sum(_ways(branch) for branch in argument[1])
    if name in ("ASSERT", "ASSERT_NOT"):
        return _ways(argument[1])
    if name == "ATOMIC_GROUP":
        return _ways(argument)
    if name in _REPEATS:
        least, most, repeated = int(argument[0]), int(argument[1]), argument[2]
        inner = _ways(repeated)
        if most <= 1:
            return 1 + inner
        if inner > 1:
            raise _TooCostly("it repeats what matches in several ways already")
        return min(most, LONGEST_TEXT) - min(least, LONGEST_TEXT) + 1
    raise _TooCostly("it refers back to a group")
