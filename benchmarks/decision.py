"""`python -m benchmarks decision`: one decision with its claim, against a PostgreSQL full of hosts, and nothing else.

The one module here that knows the inside of the cloud: it calls the two functions that the engine's steps call.
"""

from __future__ import annotations

import os
import secrets
import time
import uuid
from collections.abc import Callable, Sequence

from benchmarks import cpu
from benchmarks.cloud import postmaster
from benchmarks.figures import Latencies, Measure, Work
from cloud.embedded import postgres
from cloud.embedded.progress import Console

WARM_UP = 20
VCPUS, MEMORY_MIB, DISK_GIB = 64, 262_144, 4_096  # of each host, as a simulated one says
WANTED_MIB = 512


def run(hosts: Sequence[int], decisions: int, console: Console) -> list[Measure]:
    """One measure for each number of hosts, on a database of its own server, which is gone at the end."""
    with postgres.running() as url:
        _set_up_django(url)
        return [_measure(count, decisions, url, console) for count in hosts]


def _set_up_django(url: str) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "cloud.settings",
        "KILONOVA_ENV_FILE": os.devnull,
        "DATABASE_URL": url,
        "SECRET_KEY": secrets.token_hex(),
        "HOST_KEYS_SECRET": secrets.token_hex(),
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)


def _measure(hosts: int, decisions: int, url: str, console: Console) -> Measure:
    with console.step(f"{hosts} hosts: rows"):
        _fill(hosts)
    decide = _decider()
    with console.step(f"{hosts} hosts: {decisions} decisions") as step:
        for _ in range(WARM_UP):
            decide()
        roots = {"scheduler": os.getpid(), "postgres": postmaster(url)}
        before = cpu.by_tree(roots)
        taken: list[float] = []
        for _ in range(decisions):
            begun = time.perf_counter()
            decide()
            taken.append(time.perf_counter() - begun)
        after = cpu.by_tree(roots)
        latencies = Latencies.of(taken)
        step.note(f"median {latencies.p50:.1f} ms" if latencies else "")
    return Measure(
        name=f"decision_{hosts}",
        title=f"one decision with its claim, {hosts} hosts",
        work=Work(operations=decisions, seconds=sum(taken), latencies=latencies, latency_of="select and claim"),
        cpu_seconds={name: after[name] - before[name] for name in roots},
        load_generator_cpu_seconds=0.0,
        loop_ms=cpu.loop_milliseconds(),
    )


def _fill(hosts: int) -> None:
    """That many hosts that are up, unequally used, and no allocation."""
    from django.db import connection

    from scheduling.models import Allocation, ComputeNode

    Allocation.objects.all().delete()
    ComputeNode.objects.all().delete()
    nodes = [
        ComputeNode(
            host=f"h{number:05}",
            hypervisor_hostname=f"h{number:05}",
            zone="nova",
            is_schedulable=True,
            vcpus=VCPUS,
            memory_mib=MEMORY_MIB,
            disk_gib=DISK_GIB,
            cpu_ratio=16.0,
            ram_ratio=1.5,
            disk_ratio=1.0,
            used_vcpus=number % 64,
            used_memory_mib=number * 7919 % MEMORY_MIB,
            hypervisor_type="simulated",
            architecture="x86_64",
        )
        for number in range(hosts)
    ]
    ComputeNode.objects.bulk_create(nodes, batch_size=1000)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _decider() -> Callable[[], str]:
    """A function that decides once for a new instance and claims: what the two steps of a boot do."""
    from scheduling.claims import claim
    from scheduling.request_spec import RequestSpec
    from scheduling.scheduler import select_hosts

    def decide() -> str:
        spec = RequestSpec(
            instance_id=uuid.uuid4(), project_id="bench", vcpus=1, memory_mib=WANTED_MIB, disk_gib=1, zone=None
        )
        return claim(spec, select_hosts(spec).candidates, action_id=uuid.uuid4())

    return decide
