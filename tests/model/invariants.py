"""What must hold in every world, and which worlds are ends. What must not happen in a step raises in `host.py`."""

from __future__ import annotations

from tests.model.operations import GUESTS
from tests.model.state import Action, World


def is_end(world: World) -> bool:
    """No action is alive, and nobody owes anything but hosts without power."""
    owing = {debt.host for debt in world.db.debts}
    return not any(action.is_live for action in world.db.actions) and not any(world.hosts[h].is_on for h in owing)


def broken(world: World) -> str | None:
    """What does not hold; None when all does."""
    if sum(action.is_live for action in world.db.actions) > 1:
        return "two actions are alive"
    owing = {debt.host for debt in world.db.debts}  # taken for down, and not done yet with what that meant
    reached = [
        name for name, host in enumerate(world.hosts) if host.is_on and world.db.rows[name].is_up and name not in owing
    ]
    if sum("guest" in world.hosts[name].things for name in reached) > 1:
        return "the guest runs on two hosts"
    last = world.db.actions[-1]
    if last.is_live:
        return _while_alive(world)
    return _at_the_end(world, last)


def _while_alive(world: World) -> str | None:
    is_moving = world.db.actions[0].operation == "migrate" and len(world.db.actions) == 1
    if is_moving and not any(host.things & GUESTS for host in world.hosts):
        return "the guest is lost: it is nowhere"
    return None


def _at_the_end(world: World, last: Action) -> str | None:
    """Of hosts that owe something, or that wait to be welcomed, nothing is said: they are not done yet."""
    owing = {debt.host for debt in world.db.debts}
    unsettled = owing | {
        name
        for name, host in enumerate(world.hosts)
        if not host.is_on or host.hello or host.generation != world.db.rows[name].generation or host.paid
    }
    unsettled |= {name for name in (0, 1) if not world.db.rows[name].is_up}
    things = [frozenset() if name in unsettled else host.things for name, host in enumerate(world.hosts)]
    check = {
        "boot": _boot,
        "delete": _delete,
        "migrate": _migrate,
        "evacuate": _evacuate,
        "two_hosts": _two_hosts,
    }.get(last.operation)
    return check(world, last, things, unsettled) if check else None


def _boot(world: World, last: Action, things: list[frozenset[str]], unsettled: set[int]) -> str | None:
    if last.state == "SUCCEEDED":
        home = world.db.home
        if home not in unsettled and not ("disk" in things[home] and things[home] & GUESTS):
            return "a boot SUCCEEDED without guest or disk"
        return "a boot SUCCEEDED and left something elsewhere" if things[1 - home] else None
    if any(things):
        return f"a boot ended {last.state} and left something"
    return f"a boot ended {last.state} and kept its room" if world.db.claims - unsettled else None


def _delete(world: World, last: Action, things: list[frozenset[str]], unsettled: set[int]) -> str | None:
    if any(made - {"nmi"} for made in things):
        return "DELETED and left something"
    if {debt.host for debt in world.db.debts} - world.db.claims and world.db.actions[0].operation == "boot":
        return "what a host owes is not covered by room there"
    return "DELETED and kept room" if world.db.claims - unsettled else None


def _migrate(world: World, last: Action, things: list[frozenset[str]], unsettled: set[int]) -> str | None:
    here, there = (1, 0) if last.state == "SUCCEEDED" else (0, 1)
    if not any(host.things & GUESTS for host in world.hosts):
        return "the guest is lost: it is nowhere"
    if here not in unsettled and not things[here] & GUESTS:
        return f"a migration ended {last.state} and the guest is not there"
    return f"a migration ended {last.state} and left something elsewhere" if things[there] else None


def _evacuate(world: World, last: Action, things: list[frozenset[str]], unsettled: set[int]) -> str | None:
    if last.state == "SUCCEEDED" and things[1 - last.hosts[0]]:
        return "evacuated, and something stays where it was"
    return None


def _two_hosts(world: World, last: Action, things: list[frozenset[str]], unsettled: set[int]) -> str | None:
    return "undone, and something is left" if last.state != "SUCCEEDED" and "sent" in things[0] else None
