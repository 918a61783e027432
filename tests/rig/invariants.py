"""What must hold on every host and in the database whenever nothing is under way. Each breach is one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.rig.records import Records

# What the domain of a settled instance is like, in virsh's words, by its vm_state. A suspended one's memory is on disk.
DOMAIN_STATES = {
    "active": {"running"},
    "paused": {"paused"},
    "stopped": {"shut off"},
    "suspended": {"shut off"},
    "rescued": {"running"},
    "resized": {"running", "shut off"},
    "soft-delete": {"shut off"},
    "shelved": {"shut off"},
}
WITHOUT_HOST = {"shelved_offloaded"}  # holds nothing anywhere
HOLDS_TWO = {"resized"}  # source and destination, until it is confirmed or reverted
UNSURE = {"error", "building"}  # where it failed decides what it has


def breaches(
    records: Records, domains: Mapping[str, Mapping[str, str]], directories: Mapping[str, set[str]]
) -> list[str]:
    """`domains`: host → instance → state, of hosts that have power. `directories`: the same hosts → names in their
    instances directory; two hosts on shared storage have the same names."""
    return [
        *_of_allocations(records),
        *_of_tasks(records),
        *_of_domains(records, domains),
        *_of_directories(records, directories),
    ]


def _of_allocations(records: Records) -> Iterator[str]:
    for host, used in records.used.items():
        held = [by_host[host] for by_host in records.allocations.values() if host in by_host]
        summed = tuple(sum(column) for column in zip(*held, strict=True)) if held else (0, 0, 0)
        if summed != used:
            yield f"host {host} counts {used} as used, and its allocations are {summed}"
    for consumer, by_host in records.allocations.items():
        if consumer not in records.instances and consumer not in records.live:
            yield f"allocation on {' '.join(by_host)} of {consumer}, which is no instance"
    for instance_id, row in records.instances.items():
        if instance_id in records.live or row["vm_state"] in UNSURE | HOLDS_TWO:
            continue
        wanted = set() if row["vm_state"] in WITHOUT_HOST else {row["host"]}
        held_on = set(records.allocations.get(instance_id, {}))
        if held_on != wanted:
            yield f"instance {instance_id} {row['vm_state']} on {row['host'] or 'no host'} holds of {held_on or 'none'}"
        size = (row["vcpus"], row["memory_mib"], row["disk_gib"])
        if wanted and records.allocations.get(instance_id, {}).get(row["host"], size) != size:
            yield f"instance {instance_id} is {size} and holds {records.allocations[instance_id]}"


def _of_tasks(records: Records) -> Iterator[str]:
    for instance_id, row in records.instances.items():
        if row["task_state"] is not None and instance_id not in records.live:
            yield f"instance {instance_id} is {row['task_state']} and no action of it is alive"


def _of_domains(records: Records, domains: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for host, found in domains.items():
        for instance_id, state in found.items():
            row = records.instances.get(instance_id)
            if instance_id in records.live:
                continue
            if row is None:
                yield f"host {host} has a domain {instance_id} ({state}) that is no instance's"
            elif row["host"] != host and row["vm_state"] not in HOLDS_TWO:
                yield f"host {host} has a domain {instance_id} ({state}), and the instance is on {row['host'] or '-'}"
    for instance_id, row in records.instances.items():
        allowed = DOMAIN_STATES.get(row["vm_state"])
        if allowed is None or instance_id in records.live or row["host"] not in domains:
            continue
        state = domains[row["host"]].get(instance_id, "absent")
        if state not in allowed:
            yield f"instance {instance_id} is {row['vm_state']} on {row['host']}, and its domain there is {state}"


def _of_directories(records: Records, directories: Mapping[str, set[str]]) -> Iterator[str]:
    for host, names in directories.items():
        for name in names:
            instance_id = name[-36:] if name.startswith(".removing-") else name
            if instance_id in records.live:
                continue
            row = records.instances.get(instance_id)
            if row is None or name != instance_id:
                yield f"host {host} has a directory {name} that is no instance's"
            elif row["vm_state"] not in HOLDS_TWO and not _shares(host, row["host"], directories):
                yield f"host {host} has a directory {name}, and the instance is on {row['host'] or 'no host'}"
    for instance_id, row in records.instances.items():
        is_settled = row["vm_state"] in DOMAIN_STATES and instance_id not in records.live
        if is_settled and row["host"] in directories and instance_id not in directories[row["host"]]:
            yield f"instance {instance_id} is {row['vm_state']} on {row['host']}, and has no directory there"


def _shares(host: str, other: str, directories: Mapping[str, set[str]]) -> bool:
    """Whether both see one directory. The caller gives such hosts the very same set."""
    return host == other or (other in directories and directories[host] is directories[other])
