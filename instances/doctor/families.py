"""The families of findings, in the order in which they are looked for and repaired: what puts an instance in its place
comes before what depends on its place."""

from __future__ import annotations

from instances.doctor import (
    actions,
    allocations,
    base_images,
    disks,
    guests,
    hosts,
    instance_states,
    networks,
    ports,
    tunnels,
    usage,
)
from instances.doctor.finding import Code

FAMILIES = (actions, instance_states, guests, disks, ports, networks, tunnels, allocations, usage, base_images)
CODES: tuple[Code, ...] = tuple(code for family in (hosts, *FAMILIES) for code in family.CODES)
