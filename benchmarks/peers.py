"""What our figures are held against: a peer's, measured the same way, and our own targets. Keys are measures' names."""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = (
    "OpenStack Nova 34.0.0 with Placement 16.0.0, measured by us with a load generator like this one on a machine of "
    "two cores: API under gunicorn, scheduler, two conductors, placement, MariaDB, RabbitMQ, 20 compute services with "
    "Nova's fake hypervisor driver. In its favour: no authentication service, stubs for images and networks, a spawn "
    "that does nothing."
)
MANY_HOSTS = 500  # from here on the targets are those for 1,000 hosts


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another cloud's figures for the same work; latencies in milliseconds, CPU seconds an operation."""

    rate: float | None = None
    p50: float | None = None
    p99: float | None = None
    cpu: float | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """What we hold ourselves to: at least this rate, at most this median (ms) and these CPU seconds an operation."""

    rate: float | None = None
    p50: float | None = None
    cpu: float | None = None


NOVA = {
    "boot": Peer(rate=2.25, cpu=0.82),
    "boot_one": Peer(p50=651),
    "list_1000": Peer(p50=4975, cpu=5.1),
    "get_one": Peer(p50=32.6, p99=35.7, cpu=0.033),
    "get_one_8": Peer(rate=54, cpu=0.037),
    "delete": Peer(rate=5.0, cpu=0.38),
    "decision_100": Peer(p50=315),
    "decision_1000": Peer(p50=2362),
    "decision_10000": Peer(p50=4992),  # with candidates capped at 1,000; 23.9 s uncapped
}

_TARGETS = {
    "boot": Target(rate=30, cpu=0.055),
    "boot_one": Target(p50=60),
    "list_1000": Target(p50=100),
    "get_one": Target(p50=4),
    "get_one_8": Target(rate=400),
    "delete": Target(rate=40),
    "decision_1000": Target(p50=5),
    "decision_10000": Target(p50=20),
}
_TARGETS_OF_MANY_HOSTS = {**_TARGETS, "boot": Target(rate=25, cpu=0.07), "boot_one": Target(p50=75)}


def targets(hosts: int, *, is_simulated: bool = True) -> dict[str, Target]:
    """The targets for so many hosts; none for real hypervisors, whose guests take what they take."""
    if not is_simulated:
        return {}
    return _TARGETS_OF_MANY_HOSTS if hosts >= MANY_HOSTS else _TARGETS
