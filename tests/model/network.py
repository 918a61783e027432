"""Everything that may happen next: messages, conductors that come and go, leases that run out, users, and what goes
wrong, as far as the budget allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.model.conductor import Conductor, Outcomes
from tests.model.hello import Hellos, left, published
from tests.model.host import Executor, killed, power_lost, said
from tests.model.operations import GUESTS, OPERATIONS
from tests.model.rules import Rules
from tests.model.state import Action, Message, Step, World, sent, spent, taken, with_host, with_row


@dataclass(frozen=True)
class Network:
    """The machine: `steps(world)` is all that may come next."""

    rules: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        conductor = Conductor(self.rules)
        object.__setattr__(self, "conductor", conductor)
        object.__setattr__(self, "parts", (Executor(self.rules), Hellos(self.rules, conductor)))

    conductor: Conductor = field(init=False)
    parts: tuple[Executor, Hellos] = field(init=False)

    def steps(self, world: World) -> Iterator[Step]:
        """(what happens, the world after it). Raises Lost for what must never happen."""
        for part in self.parts:
            yield from part.steps(world)
        yield from self._conductors(world)
        yield from self._lost_messages(world)
        for index, action in enumerate(world.db.actions):
            if action.is_live:
                yield from self._sweep(world, index, action)
        yield from self._users(world)
        for name in range(len(world.hosts)):
            yield from self._host_troubles(world, name)

    # --- conductors ---------------------------------------------------------------------------------------------------

    def _conductors(self, world: World) -> Iterator[Step]:
        for place, messages in enumerate(world.unpublished):
            if not messages or messages in world.unpublished[:place]:
                continue
            free = world._replace(unpublished=((), *(m for p, m in enumerate(world.unpublished) if p != place)))
            yield f"publishes {' '.join(map(said, messages))}", sent(free, *messages)
            if world.budget.conductor_death:
                yield "CONDUCTOR DIES before it publishes", spent(free, "conductor_death")
        for message in dict.fromkeys(world.wire):
            if message.kind == "report":
                yield from self._report(world, message)

    def _report(self, world: World, message: Message) -> Iterator[Step]:
        action, text = world.db.actions[message.action], f"report a{message.action} t{message.turn}"
        if not action.is_live or action.turn != message.turn:
            yield f"{text} is stale", taken(world, message)
            return
        if () not in world.unpublished:
            return
        outcomes = self.conductor.accept(world, message.action, message.results)
        if not outcomes:
            yield f"{text} is refused", taken(world, message)
            return
        left_on_wire = (taken(world, message).wire, *((world.wire,) if world.budget.duplicate else ()))
        for wire in left_on_wire:
            for after, messages in outcomes:
                after = after._replace(wire=wire)
                if wire is world.wire:
                    after = spent(after, "duplicate")
                yield from self._committed(text, world, after, messages)

    def _committed(self, text: str, before: World, after: World, messages: tuple[Message, ...]) -> Iterator[Step]:
        if self.rules.commits_before_publishing:
            yield text, published(after, messages)
            return
        yield text, sent(after, *messages)
        if before.budget.conductor_death and messages:
            yield f"{text}: published, NOT COMMITTED", spent(sent(before, *messages), "conductor_death")

    @staticmethod
    def _lost_messages(world: World) -> Iterator[Step]:
        if world.budget.loss:
            for message in dict.fromkeys(world.wire):
                yield f"LOST: {message.kind} {said(message)}", spent(taken(world, message), "loss")

    # --- sweeps -------------------------------------------------------------------------------------------------------

    def _sweep(self, world: World, index: int, action: Action) -> Iterator[Step]:
        """Leases that ran out: in truth, when nothing is on its way any more, or too early, for a host was slow."""
        is_at_work = self._is_at_work(world, index, action)
        if action.state == "PENDING":
            if not is_at_work:
                yield f"sweep: publishes a{index} again", sent(world, Message("report", index, action.turn))
            return
        if () not in world.unpublished:
            return
        if not is_at_work:
            if self._would_help(world, action):
                outcomes = self.conductor.take_over(world, index, gives_up=False)
                yield from self._taken_over(world, index, action, outcomes, "sweep: takes over")
        elif world.budget.early_takeover:
            early = spent(world, "early_takeover")
            for gives_up in (False, True):
                outcomes = self.conductor.take_over(early, index, gives_up=gives_up)
                yield from self._taken_over(world, index, action, outcomes, "TOO EARLY: takes over")

    @staticmethod
    def _taken_over(world: World, index: int, action: Action, outcomes: Outcomes, text: str) -> Iterator[Step]:
        for after, messages in outcomes:
            waits = after.db.actions[index]._replace(
                turn=action.turn, open=action.open, excluded=action.excluded, refused=action.refused
            )
            if messages or waits != action or after.db.debts != world.db.debts:  # else it waits on, in another turn
                yield f"{text} a{index}", published(after, messages)

    @staticmethod
    def _is_at_work(world: World, index: int, action: Action) -> bool:
        def is_current(message: Message) -> bool:
            return message.kind in ("leg", "report") and (message.action, message.turn) == (index, action.turn)

        if any(is_current(message) for messages in world.unpublished for message in messages):
            return True
        for message in filter(is_current, world.wire):
            if message.kind == "report":
                return True
            if world.db.rows[message.orders[0].host].is_up:
                return True
        up = (host for host, row in zip(world.hosts, world.db.rows, strict=True) if row.is_up)
        threads = (thread for host in up for thread in host.threads if thread.at != "orphan")
        return any(is_current(thread.message) for thread in threads)

    @staticmethod
    def _would_help(world: World, action: Action) -> bool:
        """The search has no clock, and does not try again what would come to the same: a witness that said no is asked
        again once it would say yes, a host that refused is told again once its generation is another."""
        if action.refused and world.db.rows[action.refused.host].generation == action.refused.generation:
            return not world.db.rows[action.refused.host].is_up
        pivot_host_is_down = any(not world.db.rows[host].is_up for host, _ in action.doubts)
        is_there = bool(world.hosts[1].things & GUESTS)
        return not (action.witness_said_no and pivot_host_is_down and not is_there)

    # --- users --------------------------------------------------------------------------------------------------------

    def _users(self, world: World) -> Iterator[Step]:
        index, last = len(world.db.actions) - 1, world.db.actions[-1]
        if world.budget.cancel and last.is_live and not last.is_cancelled and OPERATIONS[last.operation].pivot != 0:
            actions = (*world.db.actions[:index], last._replace(is_cancelled=True))
            asked = spent(world._replace(db=world.db._replace(actions=actions)), "cancel")
            yield f"CANCEL of a{index} is asked for", asked
            if last.state == "RUNNING" and last.open and () in world.unpublished:
                for after, messages in self.conductor.take_over(asked, index, gives_up=False):
                    yield f"CANCEL of a{index} at once", published(after, messages)
        if world.budget.delete and last.operation != "delete":
            after = spent(self.conductor.supersede(world), "delete")
            yield "DELETE", sent(after, Message("report", index + 1, after.db.actions[-1].turn))
        down = world.db.home >= 0 and not world.db.rows[world.db.home].is_up
        if down and last.operation == "start" and not last.is_live and not world.hosts[world.db.home].is_on:
            after = self.conductor.start(world, "evacuate")
            yield "EVACUATE", sent(after, Message("report", index + 1, after.db.actions[-1].turn))

    # --- hosts --------------------------------------------------------------------------------------------------------

    def _host_troubles(self, world: World, name: int) -> Iterator[Step]:
        host, row, budget = world.hosts[name], world.db.rows[name], world.budget
        if host.is_on and budget.worker_death and (host.threads or host.is_locked):
            dead = killed(world, name)
            again = left(dead.hosts[name]) if self.rules.says_hello else dead.hosts[name]
            yield f"h{name} WORKER DIES", spent(with_host(dead, name, again), "worker_death")
        if host.is_on and budget.journal_loss:
            dead = killed(world, name)
            empty = dead.hosts[name]._replace(highest=0, results=frozenset(), begun=frozenset(), done_once=frozenset())
            again = left(empty._replace(generation=0)) if self.rules.says_hello else empty
            yield f"h{name} JOURNAL LOST", spent(with_host(dead, name, again), "journal_loss")
        if host.is_on and not host.hello and budget.cut_off:
            yield f"h{name} CUT OFF", spent(with_host(world, name, left(host)), "cut_off")
        if host.is_on and row.is_up and budget.mistaken_down:
            down = with_row(world, name, row._replace(is_up=False, hello=0))
            yield f"h{name} TAKEN FOR DOWN", spent(down, "mistaken_down")
        if host.is_on and budget.power_loss:
            dead = killed(world, name, is_machine=True)
            off = power_lost(dead.hosts[name])
            yield f"h{name} POWER LOST", spent(with_host(dead, name, off), "power_loss")
        if not host.is_on:
            if row.is_up:
                yield f"h{name} is marked down", with_row(world, name, row._replace(is_up=False, hello=0))
            elif not budget.stays_off:
                back = host._replace(is_on=True)
                if self.rules.says_hello:
                    yield f"h{name} is back", with_host(world, name, left(back))
                else:
                    up = with_row(world, name, row._replace(is_up=True))
                    yield f"h{name} is back", with_host(up, name, back)
