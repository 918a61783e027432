"""Which addresses the OpenAPI pages describe: ours. Those of the wire are described by OpenStack's own reference."""

from __future__ import annotations

from typing import Any

OWN_PREFIX = "/kilonova/"


def own_endpoints(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """drf-spectacular's hook: of (path, its pattern, method, view), those under `/kilonova`."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(OWN_PREFIX)]
