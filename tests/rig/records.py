"""What the control plane's database says, read through `manage.py shell` as an operator would."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.running_cloud import RunningCloud

_READ = """
import json
from django.db.models import F
from cloud.workflow.models import Action
from cloud.workflow.states import LIVE
from instances.models import Instance, Migration
from instances.unfinished_moves import UNFINISHED
from scheduling.models import Allocation, ComputeNode
sizes = ("vcpus", "memory_mib", "disk_gib")
print("ROWS " + json.dumps({
    "instances": list(Instance.objects.filter(deleted_at=None).values(
        "id", "host", "vm_state", "task_state", "power_state", *sizes)),
    "allocations": list(Allocation.objects.values("consumer", "host", *sizes)),
    "used": {node.host: [getattr(node, "used_" + size) for size in sizes] for node in ComputeNode.objects.all()},
    "moves": list(Migration.objects.filter(status__in=UNFINISHED).values("uuid", "instance_id")),
    "live": list(Action.objects.filter(state__in=LIVE).values("target_id", "operation")),
}, default=str))
"""

SIZES = ("vcpus", "memory_mib", "disk_gib")


@dataclass(frozen=True, kw_only=True)
class Records:
    """One moment of the database. `allocations`: consumer → host → (vCPUs, MiB, GiB); `used`: host → the same, as the
    node counts it; `live`: target → operation of its live action; `moves`: unfinished migration → its instance."""

    instances: dict[str, dict[str, Any]]
    allocations: dict[str, dict[str, tuple[int, ...]]]
    used: dict[str, tuple[int, ...]]
    live: dict[str, str]
    moves: dict[str, str] = field(default_factory=dict)


def read(cloud: RunningCloud) -> Records:
    """Reads it now; some seconds."""
    said = cloud.manage("shell", "-c", _READ)
    rows = json.loads(next(line for line in said.splitlines() if line.startswith("ROWS "))[5:])
    allocations: dict[str, dict[str, tuple[int, ...]]] = {}
    for row in rows["allocations"]:
        allocations.setdefault(row["consumer"], {})[row["host"]] = tuple(row[size] for size in SIZES)
    return Records(
        instances={row["id"]: row for row in rows["instances"]},
        allocations=allocations,
        used={host: tuple(used) for host, used in rows["used"].items()},
        moves={row["uuid"]: row["instance_id"] for row in rows["moves"]},
        live={row["target_id"]: row["operation"] for row in rows["live"]},
    )
