"""What there is: the database, messages, hosts, and how much may still go wrong. All of it immutable and hashable.

The log of an action is kept folded, as `cloud.workflow.log.Log` folds it: which steps are in effect, which hosts were
not reached since they were given something, whose pivot is in doubt.
"""

from __future__ import annotations

from typing import NamedTuple

LIVE = frozenset({"PENDING", "RUNNING", "UNWINDING"})
NOWHERE = -1


class Order(NamedTuple):
    """One step for one host."""

    seq: int
    verb: str  # do, undo, ask, fence
    host: int
    generation: int


class Result(NamedTuple):
    """What a host says of an order: done, failed, behind, refused, unknown; for an ask: moved, unmoved."""

    order: Order
    status: str


class Message(NamedTuple):
    """leg and report of an action's turn; hello, welcome and beat of a host (`turn` is then the generation)."""

    kind: str
    action: int = -1
    turn: int = 0
    host: int = NOWHERE
    orders: tuple[Order, ...] = ()
    results: tuple[Result, ...] = ()
    hello: int = 0
    highest: int = 0  # of a welcome: the turn that the host has to have seen
    guest: bool = False  # of a hello: there is a guest; of a welcome: it must go
    debts: tuple[Debt, ...] = ()  # of a welcome: what is owed; of a beat: what was paid or is void
    is_first: bool = False


class Debt(NamedTuple):
    """What a host that was down has to do (rule R8)."""

    action: int
    turn: int
    host: int
    orders: tuple[Order, ...]


class Action(NamedTuple):
    """One request on the one target. `effects`: (seq, host, is it known to be done); the conductor is host -1."""

    operation: str
    turn: int
    state: str = "PENDING"
    why: str = ""  # it unwinds: failed, reschedule, cancelled
    asking: bool = False
    is_cancelled: bool = False
    open: tuple[Order, ...] = ()  # given in this turn and not answered
    effects: frozenset[tuple[int, int, bool]] = frozenset()
    reached: frozenset[int] = frozenset()  # hosts that an undo, a fence or an ask reached since their last step
    doubts: frozenset[tuple[int, bool]] = frozenset()  # hosts of the pivot in doubt; True: they never answered
    hosts: tuple[int, ...] = ()  # of a delete: where it has to go; else the chosen one
    given: frozenset[int] = frozenset()  # every host that the log names
    source: int = NOWHERE  # of an evacuation: the host that is left
    excluded: frozenset[int] = frozenset()
    placements: int = 1
    retries: int = 0
    witness_said_no: bool = False
    refused: Order | None = None  # the order that a host refused for its generation, until that changes

    @property
    def is_live(self) -> bool:
        return self.state in LIVE


class HostRow(NamedTuple):
    """A host as the database knows it."""

    generation: int = 1
    hello: int = 1  # the hello that the generation was given for; 0: marked down
    latest: int = 1  # the latest hello heard
    is_up: bool = True
    given: int = 0  # the highest turn of the target that it was given


class Database(NamedTuple):
    actions: tuple[Action, ...]
    rows: tuple[HostRow, ...]
    claims: frozenset[int] = frozenset()
    home: int = NOWHERE  # where the instance is
    debts: frozenset[Debt] = frozenset()


class Thread(NamedTuple):
    """A leg in hand. `at`: waiting (its turn is on the disk), begun, acted, recorded; orphan: its worker died."""

    at: str
    message: Message
    status: str = ""


class Host(NamedTuple):
    """A machine: what its disk holds, and what its worker has in hand."""

    is_on: bool = True
    generation: int = 1
    hello: int = 0  # the hello that waits for its answer; 0: it takes work
    hellos: int = 1  # said so far
    is_new: bool = False  # no heartbeat of this generation was heard
    paid: tuple[Debt, ...] = ()
    things: frozenset[str] = frozenset()
    highest: int = 0
    results: frozenset[tuple[int, int, str, int, str]] = frozenset()  # action, seq, verb, turn → status
    begun: frozenset[tuple[int, int]] = frozenset()  # (action, seq) begun and never finished
    done_once: frozenset[tuple[int, int]] = frozenset()  # (action, seq) of `once` steps that are done
    is_locked: bool = False
    threads: tuple[Thread, ...] = ()


class Budget(NamedTuple):
    """How often each thing may still go wrong."""

    conductor_death: int = 0
    worker_death: int = 0
    loss: int = 0
    duplicate: int = 0
    early_takeover: int = 0
    failure: int = 0
    cancel: int = 0
    delete: int = 0
    power_loss: int = 0
    mistaken_down: int = 0
    journal_loss: int = 0
    cut_off: int = 0
    stays_off: int = 0  # 1: a host that lost its power does not come back


class World(NamedTuple):
    """All of it. `unpublished`: what was committed and is not sent yet, one place for each of two conductors. `undone`:
    (host, thing, turn) of what was undone, for the invariants alone."""

    db: Database
    unpublished: tuple[tuple[Message, ...], ...]
    wire: tuple[Message, ...]
    hosts: tuple[Host, ...]
    budget: Budget
    undone: frozenset[tuple[int, str, int]] = frozenset()


Step = tuple[str, World]


def with_host(world: World, name: int, host: Host) -> World:
    return world._replace(hosts=(*world.hosts[:name], host, *world.hosts[name + 1 :]))


def with_action(world: World, index: int, action: Action) -> World:
    actions = (*world.db.actions[:index], action, *world.db.actions[index + 1 :])
    return world._replace(db=world.db._replace(actions=actions))


def with_row(world: World, name: int, row: HostRow) -> World:
    rows = (*world.db.rows[:name], row, *world.db.rows[name + 1 :])
    return world._replace(db=world.db._replace(rows=rows))


def sent(world: World, *messages: Message) -> World:
    """With these on the wire, which has no order."""
    return world._replace(wire=tuple(sorted((*world.wire, *messages))))


def taken(world: World, message: Message) -> World:
    """Without that message on the wire."""
    place = world.wire.index(message)
    return world._replace(wire=world.wire[:place] + world.wire[place + 1 :])


def spent(world: World, name: str) -> World:
    """With one less of `name` in the budget."""
    return world._replace(budget=world.budget._replace(**{name: getattr(world.budget, name) - 1}))
