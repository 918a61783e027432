"""Compute microversions: what is advertised, how a request names one, which handler serves which range.

Source: the OpenStack API working group's microversion specification, and the compute API reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from django.http import HttpRequest

from cloud.errors import BadRequest, NotAcceptable, NotFound


class Microversion(NamedTuple):
    """A version such as 2.96; compares as numbers."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def microversion(text: str) -> Microversion:
    """`"2.37"` as a Microversion. BadRequest when it is not of that form."""
    major, dot, minor = text.partition(".")
    if not dot or not major.isdecimal() or not minor.isdecimal() or len(text) > 12:
        raise BadRequest(f"API Version String {text!r} is of invalid format. Must be of format MajorNum.MinorNum.")
    return Microversion(int(major), int(minor))


MIN = Microversion(2, 1)
MAX = Microversion(2, 96)


def requested(request: HttpRequest) -> Microversion:
    """The compute microversion that the request asks for: 2.1 without a header, the maximum for `latest`.

    Raises NotAcceptable outside what is advertised, BadRequest for a malformed one.
    """
    text = ""
    for part in request.headers.get("OpenStack-API-Version", "").split(","):
        service, _, wanted = part.strip().partition(" ")
        if service.lower() == "compute":
            text = wanted.strip()
    text = text or request.headers.get("X-OpenStack-Nova-API-Version", "").strip()
    if not text:
        return MIN
    if text.lower() == "latest":
        return MAX
    version = microversion(text)
    if not MIN <= version <= MAX:
        raise NotAcceptable(f"Version {version} is not supported by the API. Minimum is {MIN} and maximum is {MAX}.")
    return version


Handler = TypeVar("Handler", bound=Callable[..., Any])


def served(first: str = "2.1", last: str | None = None) -> Callable[[Handler], Handler]:
    """Declares the range of microversions in which a view's method exists; outside it the URL is 404."""
    low, high = microversion(first), microversion(last) if last else MAX

    def mark(handler: Handler) -> Handler:
        handler.served = (low, high)  # type: ignore[attr-defined]
        return handler

    return mark


def check_served(handler: Callable[..., Any], version: Microversion) -> None:
    """NotFound when `handler` declares a range that `version` is outside of."""
    low, high = getattr(handler, "served", (MIN, MAX))
    if not low <= version <= high:
        raise NotFound(f"This resource exists in microversions {low} to {high}; the request asked for {version}.")
