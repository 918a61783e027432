"""Hosts that are not all hosts: one that an admin names for a move, with the reason why not; those on one storage."""

from __future__ import annotations

import dataclasses

from cloud.errors import BadRequest, NotFound
from scheduling.explain import explain, no_valid_host
from scheduling.pipeline import configured
from scheduling.request_spec import RequestSpec
from scheduling.scheduler import MAX_CANDIDATES, weigh
from scheduling.selectors import host_exists, storage_ids_of
from scheduling.windows import every_host


class NoSuchHost(NotFound):
    """The host that was named is no compute host."""

    code = "host.not_found"


class HostDoesNotFit(BadRequest):
    """The host that was named cannot take the instance, or may not."""

    code = "host.does_not_fit"


def check_named_host(spec: RequestSpec, *, forced: bool) -> None:
    """Whether `spec.host` would do: for every filter, or, `forced`, for those that bind admins. The claim decides for
    real. Raises NoSuchHost (404), HostDoesNotFit (400) with the filter's reason.
    """
    if spec.host is None or not host_exists(spec.host):
        raise NoSuchHost(f"Compute host {str(spec.host)[:80]} could not be found.", host=str(spec.host)[:80])
    filters = [item for item in configured().filters if item.binds_forced or not forced]
    asked = spec if forced else dataclasses.replace(spec, host=None)
    explanation = explain(asked, every_host(spec), filters)
    if not explanation.passed:
        reasons = "; ".join(refusal.reason for refusal in explanation.refusals)
        raise HostDoesNotFit(f"Compute host {spec.host} cannot take the server: {reasons}", host=spec.host)


def candidates_on_named_host(spec: RequestSpec, *, forced: bool) -> list[str]:
    """`spec.host`, if it would do now. Raises NoValidHost with the reason: a step's error."""
    filters = [item for item in configured().filters if item.binds_forced or not forced]
    asked = spec if forced else dataclasses.replace(spec, host=None)
    explanation = explain(asked, every_host(spec), filters)
    if not explanation.passed:
        raise no_valid_host(spec, explanation)
    return [host.host for host in explanation.passed]


def candidates_on_storage_of(host: str, spec: RequestSpec) -> list[str]:
    """The hosts whose instances are on the same storage as those of `host`, as far as every filter passes them, best
    first; none when `host` never said what its storage is."""
    storage_id = storage_ids_of([host]).get(host)
    if not storage_id:
        return []
    pipeline = configured()
    sharing = [state for state in every_host(spec) if state.storage_id == storage_id]
    passed = explain(spec, sharing, pipeline.filters).passed
    return [state.host for _, state in weigh(spec, pipeline, passed, {})][:MAX_CANDIDATES] if passed else []
