"""What came of a run: figures for a machine, and for each broken invariant the timeline that led to it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.chaos.database import Database
from tests.chaos.invariants import LIVE, Breach
from tests.chaos.load import Accepted, Load
from tests.chaos.watch import Blow


def figures(
    database: Database, load: Load, blows: Sequence[Blow], breaches: Sequence[Breach], said: dict[str, Any]
) -> dict[str, Any]:
    """The JSON of a run, after what is `said` of it. Times are in seconds."""
    kills = [blow for blow in blows if blow.is_kill]
    endings, unfinished = _endings(database, load.accepted)
    slowest = max(kills, key=lambda blow: blow.recovered_after or 0.0, default=None)
    found = [{"invariant": b.invariant, "text": b.text, "subject": b.subject} for b in breaches]
    return {
        **said,
        "operations": sum(sum(ends.values()) for verb, ends in endings.items() if not verb.startswith("(")),
        "kills": len(kills),
        "broken_invariants": len(breaches),
        "stuck": sum(ends["STUCK"] for ends in endings.values()),
        "unfinished": unfinished,
        "slowest_recovery_s": round(slowest.recovered_after or 0.0, 2) if slowest else 0.0,
        "slowest": _of(database, slowest) if slowest else None,
        "unrecovered_kills": sum(blow.recovered_after is None for blow in kills),
        "by_kind": _by_kind(blows),
        "endings": {verb: dict(ends) for verb, ends in sorted(endings.items())},
        "endings_in_all": dict(sum(endings.values(), Counter())),
        "refused": sum(load.refused.values()),
        "unanswered": load.unanswered,
        "server_errors": load.surprises[:20],
        "breaches": found,
    }


def _of(database: Database, blow: Blow) -> dict[str, Any]:
    """The blow, and the action that it took the longest with."""
    row = next((r for r in database.rows("SELECT id, operation FROM workflow_action") if r["id"] == blow.last), {})
    return {
        "kind": blow.kind,
        "victim": blow.victim,
        "at": _clock(blow.at),
        "action": blow.last,
        "operation": row.get("operation"),
    }


def _by_kind(blows: Iterable[Blow]) -> dict[str, dict[str, Any]]:
    kinds: dict[str, list[Blow]] = {}
    for blow in blows:
        kinds.setdefault(blow.kind, []).append(blow)
    table = {}
    for kind, dealt in sorted(kinds.items(), key=lambda item: -len(item[1])):
        took = [blow.recovered_after for blow in dealt if blow.recovered_after is not None]
        table[kind] = {
            "count": len(dealt),
            "median_recovery_s": round(statistics.median(took), 2) if took else None,
            "worst_recovery_s": round(max(took), 2) if took else None,
        }
    return table


def _endings(database: Database, accepted: Sequence[Accepted]) -> tuple[dict[str, Counter[str]], int]:
    """How each verb's operations ended, and how many have not. Those in brackets nobody was told of: the cloud began
    them by itself, or the answer to their request was lost."""
    verbs = {one.request_id: one.verb for one in accepted}
    endings: dict[str, Counter[str]] = {}
    unfinished = 0
    for row in database.rows("SELECT request_id, operation, state FROM workflow_action"):
        verb = verbs.get(row["request_id"], f"(unasked) {row['operation']}")
        endings.setdefault(verb, Counter())[row["state"]] += 1
        unfinished += row["state"] in LIVE
    return endings, unfinished


def text(result: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        f"seed {result['seed']}: {result['operations']} operations, {result['kills']} kills, "
        f"{result['broken_invariants']} broken invariants, {result['stuck']} stuck, {result['unfinished']} unfinished, "
        f"slowest recovery {result['slowest_recovery_s']} s",
        f"refused {result['refused']}, unanswered {result['unanswered']}, server errors {len(result['server_errors'])}",
        "",
        f"{'blow':<18}{'count':>7}{'median s':>10}{'worst s':>10}",
    ]
    for kind, row in result["by_kind"].items():
        lines.append(f"{kind:<18}{row['count']:>7}{row['median_recovery_s']!s:>10}{row['worst_recovery_s']!s:>10}")
    lines += ["", "how operations ended:"]
    for verb, ends in result["endings"].items():
        lines.append(f"  {verb:<28} " + ", ".join(f"{state} {count}" for state, count in sorted(ends.items())))
    lines += [f"  server error: {said}" for said in result["server_errors"]]
    return "\n".join(lines)


def timeline(database: Database, subject: str, blows: Sequence[Blow]) -> str:
    """All that happened to a target: its actions, their steps, and the blows that fell meanwhile."""
    key = subject if "-" in subject else ""
    actions = [row for row in database.rows("SELECT * FROM workflow_action") if row["target_id"] == key]
    lines: list[tuple[float, str]] = []
    for action in actions:
        what = f"{action['operation']} {action['id'][:8]}"
        lines.append((action["created_at"], f"action {what}: accepted, request {action['request_id']}"))
        if action["finished_at"]:
            fault = f" {action['fault']}" if action["fault"] else ""
            end = f"action {what}: {action['state']} in turn {action['turn']}{fault}"
            lines.append((action["finished_at"], end))
        value = action["id"] if database.is_postgres else action["id"].replace("-", "")
        for event in database.rows("SELECT * FROM workflow_actionevent WHERE action_id = ?", (value,)):
            step = f"{what} turn {event['turn']} {event['verb']} {event['name']} on {event['host'] or 'conductor'}"
            lines.append((event["given_at"], f"  given  {step}, generation {event['generation']}"))
            if event["finished_at"]:
                error = f" {event['error']}" if event["error"] else ""
                lines.append((event["finished_at"], f"  {event['state']:<6} {step}{error}"))
    if lines:
        first, last = min(at for at, _ in lines) - 5, max(at for at, _ in lines) + 5
        near = [blow for blow in blows if first <= blow.at <= last]
        lines += [(blow.at, f"      ⚡ {blow.number} {blow.kind} {blow.victim} {blow.details}") for blow in near]
    return "\n".join(f"    {_clock(at)} {said}" for at, said in sorted(lines))


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]
