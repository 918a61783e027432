"""What a person needs who looks at a STUCK action: what stopped it, what is in effect, who is there, what may help."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.urls import reverse

from cloud.errors import CloudError
from cloud.workflow.log import Log
from cloud.workflow.models import Action, Host
from cloud.workflow.operation import operations
from cloud.workflow.queries import ask
from cloud.workflow.states import Verb

_PATIENCE = 1.5  # seconds for each host to say what its journal has
_ASKED = 4  # hosts at most

_DIRECTIONS = {
    Verb.DO: "going forward",
    Verb.UNDO: "on the way back",
    Verb.FENCE: "on the way back",
    Verb.ASK: "asked whether its point of no return has happened",
}


def page(action: Action) -> dict[str, Any]:
    """All of it as texts, for a template. Asks the hosts that are up, so call it outside of transactions."""
    verb = operations().get(action.operation)
    fault = action.fault or {}
    events = list(action.events.all())
    known = Log(action, events, verb.sequence) if verb is not None else None
    last = next((event for event in reversed(events) if event.host), None)
    pivot = verb.pivot if verb is not None else None
    names = list(dict.fromkeys(event.host for event in events if event.host))
    hosts = {host.name: host for host in Host.objects.filter(name__in=names).select_related("service")}
    return {
        "message": fault.get("message", "It does not say why."),
        "cause": (fault.get("cause") or {}).get("message", ""),
        "step": fault.get("step"),
        "host": fault.get("host"),
        "direction": _DIRECTIONS[Verb(last.verb)] if last is not None else "before any host was given a step",
        "pivot": verb.sequence[pivot].name if verb is not None and pivot is not None else "",
        "doubt": bool(known and pivot is not None and known.in_doubt(pivot)),
        "effects": _effects(known) if known is not None else [],
        "hosts": [_host(name, hosts.get(name), action, is_asked=n < _ASKED) for n, name in enumerate(names)],
        "hints": list(_hints(action, hosts)),
    }


def _effects(known: Log) -> list[dict[str, str]]:
    return [
        {
            "step": known.sequence[seq].name,
            "host": host or "conductor",
            "state": "done" if is_done else "given, not known to be done",
        }
        for (seq, host), is_done in sorted(known.in_effect().items())
    ]


def _host(name: str, host: Host | None, action: Action, *, is_asked: bool) -> dict[str, str]:
    if host is None:
        return {"name": name, "url": "", "standing": "not known any more", "journal": ""}
    seen = host.service.last_seen_at
    standing = "up" if host.is_up else "down, confirmed off" if host.is_fenced else "down"
    standing += f", seen {seen:%Y-%m-%d %H:%M:%S}" if seen else ", never seen"
    shown = _journal(host, action) if is_asked and host.is_up else "not asked"
    return {
        "name": name,
        "url": reverse("admin:workflow_host_change", args=[name]),
        "standing": standing,
        "journal": shown,
    }


def _journal(host: Host, action: Action) -> str:
    try:
        said = ask(host.name, "journal", {"target": str(action.target_id)}, timeout=_PATIENCE)
        lines = [f"highest turn {said['highest']}"]
        for entry in said["entries"]:
            mine = "" if entry.get("action") == str(action.pk) else " (another action)"
            begun = datetime.fromtimestamp(float(entry["begun"]), UTC)
            lines.append(
                f"turn {entry.get('turn')} {entry.get('verb')} {entry.get('name')}: {entry.get('status')}, "
                f"{begun:%H:%M:%S}{mine}"
            )
    except CloudError as error:
        return error.message
    except (LookupError, TypeError, ValueError) as error:
        return f"it answered what this release cannot read: {error!r}"
    return "\n".join(lines)


def _hints(action: Action, hosts: dict[str, Host]) -> Any:
    """Sentences, each with the command that goes with it."""
    for name, host in hosts.items():
        if not host.is_up:
            yield {
                "text": f"Host {name} is down. Bring it back and try again; or make sure that it is off and say so:",
                "command": f"python manage.py fence_host {name}            # runs its fence command\n"
                f"python manage.py fence_host {name} --confirm  # you have made sure yourself",
            }
        else:
            yield {
                "text": f"On host {name}:",
                "command": f"virsh domstate {action.target_id}\ncat <state directory>/journal/{action.target_id}/log",
            }
    yield {
        "text": "What the cloud said of it:",
        "command": f"./kilonova logs conductor -n 10000 | grep {action.request_id or action.pk}",
    }
    if action.target_type == "instance":
        yield {
            "text": "The instance, and the end of it: a delete clears every host that this action gave a step to.",
            "command": f"openstack server show {action.target_id}\nopenstack server delete {action.target_id}",
        }
    yield {
        "text": "Try again when the cause is gone. Give up when what is left may stay until the target is deleted.",
        "command": "",
    }
