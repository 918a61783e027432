"""The verbs of the model, each there for one kind of thing that the engine has to get right; what their steps do."""

from __future__ import annotations

from typing import NamedTuple

from tests.model.state import Action, World, with_host


class Step(NamedTuple):
    """One step. `role`: C the conductor, H the chosen host, S host 0, D host 1, E every host of a delete."""

    name: str
    role: str
    has_undo: bool = True
    owed: bool = False
    once: bool = False


class Operation(NamedTuple):
    """`pivot`: the step of no return; 0: there is no way back at all."""

    steps: tuple[Step, ...]
    pivot: int | None = None
    max_placements: int = 1

    @property
    def goes_forward_only(self) -> bool:
        return self.pivot == 0


OPERATIONS = {
    # placement, two steps of one leg, and another host when one fails
    "boot": Operation((Step("claim", "C"), Step("disk", "H"), Step("guest", "H")), max_placements=2),
    # the pivot in the middle, steps past it on both hosts, one that a host which is down owes
    "migrate": Operation(
        (
            *(Step("claim", "C"), Step("prepare", "D"), Step("move", "S", has_undo=False)),
            *(Step("rehome", "C", has_undo=False), Step("finish", "D", has_undo=False)),
            *(Step("leave", "S", has_undo=False, owed=True), Step("free", "C", has_undo=False)),
        ),
        pivot=2,
    ),
    # forward only, over whatever runs, on every host that was given something
    "delete": Operation(
        (Step("remove", "E", has_undo=False, owed=True), Step("release", "C", has_undo=False)), pivot=0
    ),
    # another host is to have the guest whose own is down
    "evacuate": Operation((Step("claim", "C"), Step("bring_up", "H"))),
    "start": Operation((Step("run", "S"),)),
    # a step that cannot see its own effect
    "interrupt": Operation((Step("nmi", "S", has_undo=False, once=True),)),
    # two hosts before any pivot, the later step without an undo
    "two_hosts": Operation((Step("send", "S"), Step("receive", "D", has_undo=False))),
}
GUESTS = frozenset({"guest", "off"})
_MADE = {
    "disk": {"disk"},
    "guest": {"guest"},
    "prepare": {"prepared"},
    "bring_up": {"disk", "guest"},
    "run": {"guest"},
    "send": {"sent"},
    "receive": {"received"},
}
_UNMADE = {
    "disk": {"disk"},
    "guest": GUESTS,
    "prepare": {"prepared", *GUESTS},  # what was moved there would be lost with it
    "bring_up": {"disk", *GUESTS},
    "send": {"sent"},
}


class Lost(Exception):
    """Something happened that must not: the message says what."""


def effect(world: World, name: int, action: Action, step: Step, verb: str) -> tuple[World, str] | None:
    """The world after `verb` of a step acted on host `name`, and what it ended with; None when it cannot but fail."""
    things = world.hosts[name].things
    if verb == "fence":
        return world, "done"
    if verb == "ask":
        is_here = bool(things & GUESTS)
        return world, "moved" if is_here == (name == 1) else "unmoved"
    if (verb, step.name) == ("undo", "run"):
        was_on = {"off"} if "guest" in things else set[str]()
        world = _without(world, name, frozenset({"guest"}), action.turn)
        return with_host(world, name, world.hosts[name]._replace(things=things - {"guest"} | was_on)), "done"
    if verb == "undo":
        return _without(world, name, frozenset(_UNMADE[step.name]), action.turn), "done"
    if step.name == "remove":
        return _without(world, name, things, action.turn), "done"
    if step.name == "leave":
        return _without(world, name, GUESTS | {"disk"}, action.turn), "done"
    if step.name == "move":
        return _move(world)
    if step.name == "finish":
        changed = things - {"prepared"} | {"disk"} if things & GUESTS else None
    elif step.name == "nmi":
        if "nmi" in things:
            raise Lost("a step that cannot see its own effect was done twice")
        changed = things | {"nmi"}
    elif step.name in ("guest", "run") and "disk" not in things:
        changed = None
    else:
        changed = things - {"off"} | _MADE[step.name]
    if changed is None:
        return None
    return with_host(world, name, world.hosts[name]._replace(things=changed)), "done"


def _move(world: World) -> tuple[World, str] | None:
    here, there = world.hosts
    if there.things & GUESTS:
        return world, "done"
    if "guest" not in here.things or not there.is_on:  # on shared storage nothing need be prepared there
        return None
    world = with_host(world, 0, here._replace(things=here.things - {"guest"}))
    return with_host(world, 1, there._replace(things=there.things | {"guest"})), "done"


def _without(world: World, name: int, things: frozenset[str], turn: int) -> World:
    """Those things are gone from the host; what made them must not come later."""
    host = world.hosts[name]
    undone = {(h, thing): at for h, thing, at in world.undone}
    for thing in things - {"off"}:
        undone[name, thing] = max(turn, undone.get((name, thing), 0))
    world = with_host(world, name, host._replace(things=host.things - things))
    return world._replace(undone=frozenset((h, thing, at) for (h, thing), at in undone.items()))


def made_by(step: Step) -> frozenset[str]:
    """What the step makes, that an undo may have removed before."""
    return frozenset(_MADE.get(step.name, ()))
