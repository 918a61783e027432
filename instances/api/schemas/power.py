"""Bodies of the verbs that begin or end a guest's run."""

from __future__ import annotations

from cloud.api.schemas import schema
from instances.api.schemas.fields import closed

STOP = schema(closed({"os-stop": {}}, ("os-stop",)))
START = schema(closed({"os-start": {}}, ("os-start",)))
_TYPE = {"enum": ["SOFT", "Soft", "soft", "HARD", "Hard", "hard"]}
PAUSE = schema(closed({"pause": {}}, ("pause",)))
UNPAUSE = schema(closed({"unpause": {}}, ("unpause",)))
SUSPEND = schema(closed({"suspend": {}}, ("suspend",)))
RESUME = schema(closed({"resume": {}}, ("resume",)))
TRIGGER_CRASH_DUMP = schema(closed({"trigger_crash_dump": {"type": "null"}}, ("trigger_crash_dump",)))
REBOOT = schema(closed({"reboot": closed({"type": _TYPE}, ("type",))}, ("reboot",)))
