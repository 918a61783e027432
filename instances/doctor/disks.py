"""Findings about directories of instances: nobody's, of the deleted, elsewhere than their instance, missing.

A disk that a row still names is never removed; one that nobody knows is set aside whole, for the database may have been
restored from before it was made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from instances.doctor.finding import Clearing, Code, Finding
from instances.doctor.look import Directory, Look
from instances.states import STATES_WITH_GUEST

ORPHAN = Code(
    name="disk.orphan",
    finds="a host has the directory of an instance that nobody knows: no row, no migration",
    danger="It takes room that is given to others. It may be all that is left of an instance whose row was lost.",
    repair="It is set aside, whole, as `instances/set-aside/<id>` on its host: look at it, then remove it by hand.",
    is_safe=True,
)
OF_DELETED = Code(
    name="disk.of_deleted",
    finds="a host has the directory of an instance that is deleted",
    danger="It takes room that is given to others, and keeps what its user wanted gone.",
    repair="It is removed.",
    is_safe=True,
)
HALF_REMOVED = Code(
    name="disk.half_removed",
    finds="the removal of a directory was interrupted",
    danger="It takes room that is given to others.",
    repair="It is removed.",
    is_safe=True,
)
LEFT_BEHIND = Code(
    name="disk.left_behind",
    finds="a host has a directory of an instance that is elsewhere, or keeps one aside for a move that is over",
    danger="It takes room that is given to others; a newer copy of the disk should be where the instance is.",
    repair="Nothing that a row names is removed by itself: see that the instance is well where it is, then remove it.",
)
MISSING = Code(
    name="disk.missing",
    finds="an instance has no disk on its host",
    danger="What was on it is lost, or somewhere else; its guest cannot start.",
    repair="Bring the directory back from a copy, or rebuild or delete the instance.",
)
CODES = (ORPHAN, OF_DELETED, HALF_REMOVED, LEFT_BEHIND, MISSING)


def findings(look: Look) -> Iterator[Finding]:
    """All of this family."""
    for directory in look.directories:
        yield from _of_directory(look, directory)
    for row in look.settled():
        has_guest = row.vm_state in STATES_WITH_GUEST
        if has_guest and not look.has_disk(row.pk, row.host):
            yield Finding(
                code=MISSING,
                objects={"instance": str(row.pk), "host": row.host},
                detail=f"Instance {row.pk} is {row.vm_state}, and host {row.host} has no disk of it.",
                concerns=frozenset({row.pk}),
            )


def _of_directory(look: Look, directory: Directory) -> Iterator[Finding]:
    found, target, host = directory.found, UUID(directory.found.instance_id), directory.hosts[0]
    size = f"{found.size_bytes >> 20} MiB"
    common: dict[str, Any] = {
        "objects": {"host": ",".join(directory.hosts), "directory": found.name, "instance": found.instance_id},
        "concerns": frozenset({target}),
    }
    removal = Clearing(target=target, host=host, remove=(found.name,))
    if found.is_removing:
        detail = f"{found.name} on host {host} ({size}) is half removed."
        yield Finding(code=HALF_REMOVED, **common, detail=detail, fix=removal)
    elif target in look.instances:
        if not _belongs(look, directory, target):
            row = look.instances[target]
            where = f"the instance is {row.vm_state} on {row.host or 'no host'}"
            detail = f"Host {host} has {found.name} ({size}), and {where}."
            yield Finding(code=LEFT_BEHIND, **common, detail=detail)
    elif target in look.deleted:
        detail = f"Host {host} has {found.name} ({size}), and the instance is deleted."
        yield Finding(code=OF_DELETED, **common, detail=detail, fix=removal)
    else:
        known = "its row is gone" if target in look.has_actions else "nothing was ever known of it"
        detail = f"Host {host} has {found.name} ({size}), and {known}."
        aside = Clearing(target=target, host=host, set_aside=(found.name,))
        yield Finding(code=ORPHAN, **common, detail=detail, fix=aside)


def _belongs(look: Look, directory: Directory, target: UUID) -> bool:
    """The living instance may have this directory there."""
    if directory.found.kept_by:
        return look.is_moving(target)
    return target in look.astray or look.sees_storage_of(directory, look.may_be_on(target))
