"""How hosts begin anew (rule R6) and pay what they owe (R8): the model of `cloud/workflow/{hello,hosts,debts}.py` and
`hypervisor/{agent,standing,welcome}.py`. A heartbeat and what is said of it are one step, a hello and its answer two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model.conductor import Conductor
from tests.model.host import raised
from tests.model.operations import GUESTS, OPERATIONS, effect
from tests.model.rules import Rules
from tests.model.state import Debt, Host, Message, Step, World, sent, taken, with_host, with_row


@dataclass(frozen=True)
class Hellos:
    """Hosts that begin anew, and conductors that hear of it."""

    rules: Rules
    conductor: Conductor

    def steps(self, world: World) -> Iterator[Step]:
        """What hosts say by themselves, and what comes of it."""
        for name, host in enumerate(world.hosts):
            if host.is_on:
                yield from self._speak(world, name, host)
        for message in dict.fromkeys(world.wire):
            if message.kind == "hello":
                yield self._hear_hello(world, message)
            elif message.kind == "welcome" and world.hosts[message.host].is_on:
                yield from self._enter(world, message)
            elif message.kind == "beat":
                yield from self._hear_beat(world, message)

    @staticmethod
    def _speak(world: World, name: int, host: Host) -> Iterator[Step]:
        mine = [message for message in world.wire if message.host == name and message.kind != "leg"]
        row = world.db.rows[name]
        if host.hello:
            if not any(message.hello == host.hello for message in mine):
                guest = bool(host.things & GUESTS)
                hello = Message("hello", turn=host.generation, host=name, hello=host.hello, guest=guest)
                yield f"h{name} says hello {host.hello}", sent(world, hello)
            return
        has_news = host.is_new or host.paid or not row.hello or not row.is_up or row.generation != host.generation
        if has_news and not any(message.kind == "beat" and message.turn == host.generation for message in mine):
            beat = Message("beat", turn=host.generation, host=name, debts=host.paid, is_first=host.is_new)
            yield f"h{name} beats", sent(world, beat)

    def _hear_hello(self, world: World, message: Message) -> Step:
        name, row = message.host, world.db.rows[message.host]
        world, text = taken(world, message), f"hello {message.hello} of h{name}"
        if message.hello < row.latest:
            return f"{text} is old", world
        if row.hello != message.hello:
            generation = max(row.generation, message.turn) + 1
            row = row._replace(generation=generation, hello=message.hello, latest=message.hello)
            world = with_row(world, name, row)
        welcome = Message(
            "welcome",
            turn=row.generation,
            host=name,
            hello=message.hello,
            highest=row.given + 1 if message.guest else 0,
            guest=message.guest and self._is_lost(world, name),
            debts=tuple(sorted(debt for debt in world.db.debts if debt.host == name)),
        )
        return f"{text} is answered", sent(world, welcome)

    def _is_lost(self, world: World, name: int) -> bool:
        """The guest there is not the host's own any more, and no action is at work on it there."""
        if not self.rules.lets_lost_guests_go or world.db.home == name:
            return False
        return not any(action.is_live and name in action.given for action in world.db.actions)

    def _enter(self, world: World, message: Message) -> Iterator[Step]:
        """Lets go what is lost, pays what is owed, takes work under the new generation."""
        name, host = message.host, world.hosts[message.host]
        if message.hello != host.hello:
            yield f"h{name} passes over the answer to hello {message.hello}", taken(world, message)
            return
        if host.is_locked and (message.guest or message.debts):
            return  # a step of before still holds the target's lock
        world = taken(world, message)
        host = raised(host, message.highest)
        if message.guest or message.debts:  # under the lock, what a killed worker left is ended first
            host = host._replace(threads=tuple(thread for thread in host.threads if thread.at != "orphan"))
        if message.guest:
            keeps = host.things - GUESTS if message.debts else frozenset[str]()
            host = host._replace(things=keeps)
        world = with_host(world, name, host)
        for debt in message.debts:
            world = self._pay(world, name, debt)
        if message.guest and self.rules.clears_away:
            world = with_host(world, name, world.hosts[name]._replace(things=frozenset()))
        host = world.hosts[name]._replace(generation=message.turn, hello=0, is_new=True, paid=message.debts)
        yield f"h{name} enters as generation {message.turn}", with_host(world, name, host)

    @staticmethod
    def _pay(world: World, name: int, debt: Debt) -> World:
        """A debt in the turn in which it was owed; it is void when later orders came first."""
        host, action = world.hosts[name], world.db.actions[debt.action]
        if debt.turn < host.highest:
            return world
        world = with_host(world, name, raised(host, debt.turn))
        for order in debt.orders:
            step = OPERATIONS[action.operation].steps[order.seq]
            done = effect(world, name, action._replace(turn=debt.turn), step, order.verb)
            world = world if done is None else done[0]
        return world

    def _hear_beat(self, world: World, message: Message) -> Iterator[Step]:
        """A heartbeat of the current generation brings the host up and tells what was paid; of another one, the host is
        told to say hello."""
        name, row = message.host, world.db.rows[message.host]
        world, text = taken(world, message), f"beat of h{name}"
        host = world.hosts[name]
        is_here = host.is_on and not host.hello and host.generation == message.turn  # it heeds the acknowledgement
        if not row.hello or row.generation != message.turn:
            yield f"{text}: it has to say hello", with_host(world, name, left(host)) if is_here else world
            return
        world = with_row(world, name, row._replace(is_up=True))
        world = self._settle(world, name, message.debts)
        is_untold = message.is_first and any(debt.host == name for debt in world.db.debts)
        if is_here:
            paid = tuple(debt for debt in host.paid if debt not in message.debts)
            heard = left(host) if is_untold else host._replace(is_new=False, paid=paid)
            world = with_host(world, name, heard)
        begun_anew = [
            index
            for index, action in enumerate(world.db.actions)
            if message.is_first
            and action.is_live
            and any(order.host == name and order.generation < message.turn for order in action.open)
        ]
        if not begun_anew or () not in world.unpublished:
            yield f"{text} is heard", world  # a sweep takes over what it could not
            return
        for index in begun_anew:
            for after, messages in self.conductor.take_over(world, index, gives_up=False):
                yield f"{text}: a{index} is taken over", published(after, messages)

    def _settle(self, world: World, name: int, paid: tuple[Debt, ...]) -> World:
        """Debts that were paid, or are void, are gone; with the last of them the room there is free."""
        db = world.db
        debts = db.debts - set(paid)
        own = {debt.action for debt in db.debts - debts}
        if not own:
            return world
        others = (action for index, action in enumerate(db.actions) if index not in own)
        is_needed = db.home == name or any(action.is_live and name in action.given for action in others)
        if not is_needed and not any(debt.host == name for debt in debts):
            db = db._replace(claims=db.claims - {name})
        return world._replace(db=db._replace(debts=debts))


def left(host: Host) -> Host:
    """From here on it takes no work, until a new hello was answered."""
    return host._replace(hello=host.hellos + 1, hellos=host.hellos + 1, is_new=False, paid=())


def published(world: World, messages: tuple[Message, ...]) -> World:
    """After the commit, before its messages are sent: some conductor has them in hand."""
    if not messages:
        return world
    place = world.unpublished.index(())
    rest = [*world.unpublished[:place], *world.unpublished[place + 1 :], messages]
    return world._replace(unpublished=tuple(sorted(rest)))
