"""What must hold when the dust has settled. Plain SQL and the hosts' own files; nothing of the engine is imported.

What allocations, domains and directories owe one another is said once, in `tests/rig/invariants.py`, for real hosts and
simulated ones. Here is what only a cloud that was hurt can get wrong.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.chaos.database import Database
from tests.chaos.load import Accepted
from tests.rig import invariants as settled
from tests.rig.records import SIZES, Records

LIVE = ("PENDING", "RUNNING", "UNWINDING")
ENDED_MOVES = ("completed", "confirmed", "reverted", "cancelled", "failed", "error")
POWER = {1: "running", 3: "paused", 4: "shut off", 6: "crashed"}
ON = ("running", "paused")


@dataclass(frozen=True, kw_only=True)
class Breach:
    """One broken invariant. `subject`: the instance (or other target) that it is about, "" where there is none."""

    invariant: str
    text: str
    subject: str = ""


def breaches(database: Database, hosts: Mapping[str, Path], accepted: Iterable[Accepted]) -> list[Breach]:
    """All that is wrong now. Ask when no action is alive and nothing is owed."""
    records = read(database)
    domains = {host: _domains(directory) for host, directory in hosts.items()}
    return [
        *of_the_log(database, accepted),
        *_of_settled(records, domains, _directories(hosts)),
        *_of_ports(database, records, hosts),
        *_of_instances(records),
        *_of_effects(hosts),
    ]


def of_the_log(database: Database, accepted: Iterable[Accepted]) -> list[Breach]:
    """What the log alone shows to be wrong, whatever hosts there are."""
    return [*_of_actions(database), *_of_requests(database, accepted), *_of_images(database)]


def read(database: Database) -> Records:
    """The rows that the rig's invariants are about."""
    sizes = ", ".join(SIZES)
    instances = database.rows(
        f"SELECT id, host, vm_state, task_state, power_state, {sizes} FROM instances_instance WHERE deleted_at IS NULL"
    )
    allocations: dict[str, dict[str, tuple[int, ...]]] = {}
    for row in database.rows(f"SELECT consumer, host, {sizes} FROM scheduling_allocation"):
        allocations.setdefault(row["consumer"], {})[row["host"]] = tuple(row[size] for size in SIZES)
    used = database.rows("SELECT host, used_vcpus, used_memory_mib, used_disk_gib FROM scheduling_computenode")
    moves = database.rows(f"SELECT uuid, instance_id FROM instances_migration WHERE status NOT IN {ENDED_MOVES}")
    live = database.rows(f"SELECT target_id, operation FROM workflow_action WHERE state IN {LIVE}")
    return Records(
        instances={row["id"]: row for row in instances},
        allocations=allocations,
        used={row["host"]: tuple(row[f"used_{size}"] for size in SIZES) for row in used},
        live={row["target_id"]: row["operation"] for row in live},
        moves={row["uuid"]: row["instance_id"] for row in moves},
    )


# --- the log ----------------------------------------------------------------------------------------------------------


def _of_actions(database: Database) -> Iterator[Breach]:
    live = database.rows(
        f"SELECT target_id, COUNT(*) AS n FROM workflow_action WHERE state IN {LIVE} GROUP BY target_id"
    )
    for row in live:
        if row["n"] > 1:
            yield Breach(invariant="one live action", text=f"{row['n']} live actions", subject=row["target_id"])
    for row in database.rows("SELECT id, target_id, operation, state, turn, fault FROM workflow_action"):
        if row["state"] in LIVE:
            text = f"{row['operation']} {row['id']} is still {row['state']} in turn {row['turn']}"
            yield Breach(invariant="every action ends", text=text, subject=row["target_id"])
        elif row["state"] == "STUCK":
            text = f"{row['operation']} {row['id']} is STUCK: {row['fault']}"
            yield Breach(invariant="nothing is stuck", text=text, subject=row["target_id"])
    doubled = database.rows(
        "SELECT target_id, turn, COUNT(*) AS n FROM workflow_action GROUP BY target_id, turn HAVING COUNT(*) > 1"
    )
    for row in doubled:
        text = f"{row['n']} actions ended in turn {row['turn']}"
        yield Breach(invariant="turns never fall", text=text, subject=row["target_id"])
    owed = database.rows(
        "SELECT e.name, e.host, a.target_id FROM workflow_actionevent e JOIN workflow_action a ON a.id = e.action_id"
        " WHERE e.state = 'OWED'"
    )
    for row in owed:
        text = f"{row['host']} is up and still owes {row['name']}"
        yield Breach(invariant="debts are paid", text=text, subject=row["target_id"])


def _of_requests(database: Database, accepted: Iterable[Accepted]) -> Iterator[Breach]:
    rows = database.rows("SELECT request_id, target_id, operation FROM workflow_action")
    known = {row["request_id"] for row in rows}
    deleted = {row["target_id"] for row in rows if row["operation"] == "delete"}
    for one in accepted:
        # A delete of what is being deleted asks for nothing more.
        if one.request_id not in known and not (one.verb == "delete" and one.server in deleted):
            text = f"{one.verb} was accepted as {one.request_id}, and no action knows of it"
            yield Breach(invariant="an accepted request is kept", text=text, subject=one.server)


# --- what is settled --------------------------------------------------------------------------------------------------


def _of_settled(
    records: Records, domains: Mapping[str, Mapping[str, str]], directories: Mapping[str, set[str]]
) -> Iterator[Breach]:
    for text in settled.breaches(records, domains, directories):
        subject = next(
            (word for word in text.replace(".", " ").split() if len(word) == 36 and word.count("-") == 4), ""
        )
        yield Breach(invariant="database, hosts and allocations agree", text=text, subject=subject)
    runs = Counter(i for found in domains.values() for i, state in found.items() if state in ON)
    for instance, count in runs.items():
        if count > 1:
            yield Breach(invariant="a guest runs once", text=f"the guest runs on {count} hosts", subject=instance)


def agreement(texts: Iterable[str]) -> Iterator[Breach]:
    """What the rig's invariants said, each with the instance that it names."""
    for text in texts:
        words = text.replace(".", " ").split()
        subject = next((word for word in words if len(word) == 36 and word.count("-") == 4), "")
        yield Breach(invariant="database, hosts and allocations agree", text=text, subject=subject)


def _of_instances(records: Records) -> Iterator[Breach]:
    for instance, row in records.instances.items():
        if row["vm_state"] == "building" and instance not in records.live:
            yield Breach(invariant="no state without an action", text="is building, by no action", subject=instance)


def _of_images(database: Database) -> Iterator[Breach]:
    for row in database.rows("SELECT id, name, status FROM images_image WHERE status IN ('queued', 'saving')"):
        text = f"image {row['id']} ({row['name']}) is {row['status']} and nobody fills it"
        yield Breach(invariant="no image is left half made", text=text)


def _of_ports(database: Database, records: Records, hosts: Mapping[str, Path]) -> Iterator[Breach]:
    ports = database.rows("SELECT id, device_id, binding_host, moving_to FROM networks_port WHERE device_id <> ''")
    known = {row["id"]: row for row in ports}
    name = "database, hosts and ports agree"
    for row in ports:
        instance = records.instances.get(row["device_id"])
        if row["device_id"] in records.live:
            continue
        if instance is None:
            yield Breach(invariant=name, text=f"port {row['id']} of no instance", subject=row["device_id"])
        elif instance["vm_state"] not in (*settled.UNSURE, *settled.HOLDS_TWO, *settled.WITHOUT_HOST):
            if row["binding_host"] != instance["host"]:
                text = f"port {row['id']} is bound to {row['binding_host'] or 'no host'}, not {instance['host']}"
                yield Breach(invariant=name, text=text, subject=row["device_id"])
            if row["moving_to"]:
                text = f"port {row['id']} is on its way to {row['moving_to']}, by no action"
                yield Breach(invariant=name, text=text, subject=row["device_id"])
    plugged: dict[str, set[str]] = defaultdict(set)
    for host, directory in hosts.items():
        for path in (directory / "simulated" / "networks").glob("*/*.json"):
            record = json.loads(path.read_text())
            plugged[path.stem].add(host)
            instance = records.instances.get(record["instance_id"])
            if record["instance_id"] in records.live:
                continue
            if instance is None or path.stem not in known:
                text = f"host {host} has port {path.stem} plugged, which is no instance's"
                yield Breach(invariant=name, text=text, subject=record["instance_id"])
            elif instance["host"] != host and instance["vm_state"] not in settled.HOLDS_TWO:
                text = f"host {host} has port {path.stem} plugged, and the instance is on {instance['host'] or '-'}"
                yield Breach(invariant=name, text=text, subject=record["instance_id"])
    for port, row in known.items():
        instance = records.instances.get(row["device_id"])
        if instance is None or row["device_id"] in records.live or instance["host"] not in hosts:
            continue
        if instance["vm_state"] in ("active", "paused", "rescued") and instance["host"] not in plugged[port]:
            text = f"port {port} is not plugged on {instance['host']}, where the guest runs"
            yield Breach(invariant=name, text=text, subject=row["device_id"])


# --- what the hosts did -----------------------------------------------------------------------------------------------


def _of_effects(hosts: Mapping[str, Path]) -> Iterator[Breach]:
    """Each step's effect at most once per attempt, and no step of a turn after one of a later turn."""
    for host, directory in hosts.items():
        effects = _effects(directory)
        for log in (directory / "journal").glob("*/log"):
            target = log.parent.name
            begun = [line for line in _lines(log) if "begun" in line]
            for earlier, later in pairwise(begun):
                if later["turn"] < earlier["turn"]:
                    text = f"{host} began {later['name']} of turn {later['turn']} after turn {earlier['turn']}"
                    yield Breach(invariant="no effect after its fence", text=text, subject=target)
            yield from _doubled(host, target, begun, effects.get(target, []))


def _doubled(host: str, target: str, begun: list[dict[str, Any]], effects: list[dict[str, Any]]) -> Iterator[Breach]:
    """An effect belongs to the step that was begun last before it: whoever acts on a target holds its lock."""
    counted: Counter[tuple[str, str]] = Counter()
    names = {line["token"]: line for line in begun}
    for effect in effects:
        token = next((line["token"] for line in reversed(begun) if line["begun"] <= effect["at"]), None)
        if token is not None:
            counted[token, effect["what"]] += 1
    for (token, what), count in counted.items():
        if count > 1:
            line = names[token]
            text = f"{host}: {line['verb']} {line['name']} of turn {line['turn']} had its effect {what!r} {count} times"
            yield Breach(invariant="an effect at most once per attempt", text=text, subject=target)


def _effects(directory: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in _lines(directory / "simulated" / "effects.log"):
        found[line["instance"]].append(line)
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue  # torn by a kill
    return lines


def _domains(directory: Path) -> dict[str, str]:
    notes = {path.stem: json.loads(path.read_text()) for path in (directory / "simulated" / "domains").glob("*.json")}
    return {instance: POWER.get(note["power_state"], "?") for instance, note in notes.items()}


def _directories(hosts: Mapping[str, Path]) -> dict[str, set[str]]:
    """Hosts that share a directory get the very same set."""
    listed: dict[Path, set[str]] = {}
    for directory in hosts.values():
        instances = (directory / "instances").resolve()
        listed.setdefault(instances, {entry.name for entry in instances.iterdir() if entry.is_dir()})
    return {host: listed[(directory / "instances").resolve()] for host, directory in hosts.items()}
