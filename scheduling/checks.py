"""The check at start: settings that name a filter or weigher that is not there stop the process, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import Error, register

from scheduling.pipeline import UnknownPart, configured


@register()
def check_scheduler(app_configs: Sequence[Any] | None = None, **kwargs: Any) -> list[Error]:
    """One error when SCHEDULER_* settings cannot be followed."""
    try:
        configured()
    except UnknownPart as error:
        return [Error(str(error), hint=error.hint, id="scheduling.E001")]
    return []
