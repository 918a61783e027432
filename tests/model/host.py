"""What is done: the model of `hypervisor/{executor,journal,delivery}.py`. Each step of it is what happens between two
places at which a worker may die.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model.operations import GUESTS, OPERATIONS, Lost, Step, effect, made_by
from tests.model.rules import Rules
from tests.model.state import Host, Message, Result, Thread, World, sent, spent, taken, with_host
from tests.model.state import Step as Transition

_THREADS = 2


@dataclass(frozen=True)
class Executor:
    """A host's worker, by these rules."""

    rules: Rules

    def steps(self, world: World) -> Iterator[Transition]:
        """Whatever some host may do next with the legs in hand and on the wire."""
        for message in dict.fromkeys(world.wire):
            if message.kind == "leg":
                yield from self._take(world, message)
        for name, host in enumerate(world.hosts):
            if host.is_on:
                for thread in dict.fromkeys(host.threads):
                    yield from self._go_on(world, name, thread)

    def _take(self, world: World, message: Message) -> Iterator[Transition]:
        name, order = message.orders[0].host, message.orders[0]
        host = world.hosts[name]
        left = taken(world, message)
        if not host.is_on:
            return
        if (self.rules.refuses_old_generations and order.generation != host.generation) or host.hello:
            if host.hello and order.generation > host.generation:
                return  # it overtook the answer to the hello, and waits for that
            yield f"h{name} refuses {said(message)}", self._report(left, message, "refused")
            return
        if sum(thread.at != "orphan" for thread in host.threads) >= _THREADS:
            return
        if any(thread.at != "orphan" and thread.message == message for thread in host.threads):
            yield f"h{name} drops a duplicate of {said(message)}", left
            return
        highest = host.highest
        if message.turn < highest:
            yield f"h{name} is ahead of {said(message)}", self._report(left, message, "behind")
            return
        if self.rules.raises_turn_on_receipt:
            host = raised(host, message.turn)
        new = with_thread(host, Thread("waiting", message))
        yield f"h{name} takes {said(message)}", with_host(left, name, new)
        if world.budget.duplicate:
            yield f"h{name} takes {said(message)}, kept", spent(with_host(world, name, new), "duplicate")

    def _go_on(self, world: World, name: int, thread: Thread) -> Iterator[Transition]:
        if thread.at == "waiting":
            yield from self._lock(world, name, thread)
        elif thread.at == "begun":
            yield from self._act(world, name, thread)
        elif thread.at == "acted":
            yield self._record(world, name, thread)
        elif thread.at == "recorded":
            host = without_thread(world.hosts[name], thread)
            yield (
                f"h{name} reports {said(thread.message)}",
                self._report(with_host(world, name, host), thread.message, thread.status),
            )
        else:
            yield from self._orphan_acts(world, name, thread)

    def _lock(self, world: World, name: int, thread: Thread) -> Iterator[Transition]:
        """Takes the target's lock; inside it looks at the turn, at the stored result, and writes `begun`."""
        host, message = world.hosts[name], thread.message
        order, text = message.orders[0], said(message)
        idle = without_thread(host, thread)
        if self.rules.checks_under_lock and message.turn < host.highest:
            yield f"h{name} is past {text}", self._report(with_host(world, name, idle), message, "behind")
            return
        if host.is_locked:
            return
        status = self._stored(host, message)
        if status is None and not self._is_current(host, order.generation):
            yield f"h{name} has left before {text}", self._report(with_host(world, name, idle), message, "refused")
            return
        step = step_of(world, message)
        if self.rules.settles_orphans:
            idle = idle._replace(threads=tuple(t for t in idle.threads if t.at != "orphan"))
        key = (message.action, order.seq)
        if status is None and step.once and order.verb == "do" and key in host.begun and self.rules.remembers_once:
            status = "unknown"
        if status is None and order.verb == "do" and key in host.done_once and self.rules.remembers_once_done:
            status = "done"
        if status is not None:
            yield (
                f"h{name} knows {text}",
                with_host(world, name, with_thread(idle, Thread("recorded", message, status))),
            )
            return
        if step.once:
            idle = idle._replace(begun=idle.begun | {key})
        begun = with_thread(idle._replace(is_locked=True), Thread("begun", message))
        yield f"h{name} begins {text}", with_host(world, name, begun)

    def _is_current(self, host: Host, generation: int) -> bool:
        return not self.rules.refuses_old_generations or (not host.hello and host.generation == generation)

    def _stored(self, host: Host, message: Message) -> str | None:
        order = message.orders[0]
        verb = order.verb if self.rules.names_the_verb else "*"
        token = (message.action, order.seq, verb, message.turn)
        return next((status for *known, status in host.results if tuple(known) == token), None)

    def _act(self, world: World, name: int, thread: Thread) -> Iterator[Transition]:
        host, message = world.hosts[name], thread.message
        if message.turn < host.highest:
            idle = without_thread(host, thread)._replace(is_locked=False)
            yield f"h{name} stops {said(message)}", with_host(world, name, idle)  # a higher turn was seen
        done = self._effect(world, name, message)
        if done is None:
            yield f"h{name} cannot {said(message)}", self._acted(world, name, thread, "failed")
            return
        changed, status = done
        yield f"h{name} does {said(message)}", self._acted(changed, name, thread, status)
        if world.budget.failure and message.orders[0].verb == "do":
            failed = spent(world, "failure"), spent(changed, "failure")
            yield f"h{name} fails {said(message)}", self._acted(failed[0], name, thread, "failed")
            if changed != world:
                yield f"h{name} does and fails {said(message)}", self._acted(failed[1], name, thread, "failed")

    def _effect(self, world: World, name: int, message: Message) -> tuple[World, str] | None:
        """What the order does. Raises Lost when it must not happen any more."""
        order, action = message.orders[0], world.db.actions[message.action]
        step = step_of(world, message)
        # One step that was begun before its host was taken for down may still act: its debt is paid after it.
        is_unreached = not world.db.rows[name].is_up or any(debt.host == name for debt in world.db.debts)
        if order.verb == "do" and not is_unreached:
            if action.state in ("SUCCEEDED", "FAILED", "CANCELLED"):
                raise Lost(f"{step.name} acts on h{name} after its action ended {action.state}")
            for h, thing, at in world.undone:
                if h == name and thing in made_by(step) and at > message.turn:
                    raise Lost(f"{thing} is made on h{name} in turn {message.turn} and was undone in {at}")
        return effect(world, name, action._replace(turn=message.turn), step, order.verb)

    @staticmethod
    def _acted(world: World, name: int, thread: Thread, status: str) -> World:
        host = without_thread(world.hosts[name], thread)
        return with_host(world, name, with_thread(host, Thread("acted", thread.message, status)))

    def _record(self, world: World, name: int, thread: Thread) -> Transition:
        message, order = thread.message, thread.message.orders[0]
        host = without_thread(world.hosts[name], thread)
        if not self.rules.raises_turn_on_receipt:
            host = raised(host, message.turn)
        verb = order.verb if self.rules.names_the_verb else "*"
        token = (message.action, order.seq, verb, message.turn, thread.status)
        is_once = step_of(world, message).once and (order.verb, thread.status) == ("do", "done")
        done_once = {(message.action, order.seq)} if is_once else set[tuple[int, int]]()
        is_erased = not self.rules.journal_outlives_instance and not host.things and order.verb != "fence"
        host = host._replace(
            results=frozenset() if is_erased else host.results | {token},
            highest=0 if is_erased else host.highest,
            begun=host.begun - {(message.action, order.seq)},
            done_once=host.done_once | done_once,
            is_locked=False,
        )
        recorded = with_thread(host, Thread("recorded", message, thread.status))
        return f"h{name} records {said(message)}", with_host(world, name, recorded)

    def _report(self, world: World, message: Message, status: str) -> World:
        """Hands the rest of the leg on, or tells `advance`. What the conductors would drop as stale is not sent."""
        order, *rest = message.orders
        results = (*message.results, Result(order, status))
        if rest and status == "done":
            return sent(world, message._replace(orders=tuple(rest), results=results))
        if world.db.actions[message.action].turn != message.turn:
            return world
        return sent(world, Message("report", message.action, message.turn, results=results))

    def _orphan_acts(self, world: World, name: int, thread: Thread) -> Iterator[Transition]:
        """What a killed worker left running comes to its end."""
        done = self._effect(world, name, thread.message)
        changed = world if done is None else done[0]
        host = without_thread(changed.hosts[name], thread)
        yield f"h{name} orphan: {said(thread.message)}", with_host(changed, name, host)


def killed(world: World, name: int, *, is_machine: bool = False) -> World:
    """Without the worker's threads: their messages come back, what they began may run on unless the machine is off."""
    host = world.hosts[name]
    threads = [thread for thread in host.threads if thread.at != "orphan"]
    orphans = [thread._replace(at="orphan") for thread in host.threads if thread.at in ("begun", "orphan")]
    kept = () if is_machine else tuple(sorted(set(orphans)))
    world = sent(world, *(thread.message for thread in threads))
    return with_host(world, name, host._replace(threads=kept, is_locked=False))


def power_lost(host: Host) -> Host:
    """Its guests are off, and still defined."""
    things = host.things - GUESTS | ({"off"} if host.things & GUESTS else set())
    return host._replace(is_on=False, things=frozenset(things))


def raised(host: Host, turn: int) -> Host:
    """With at least that turn seen; results of older turns are never asked for again."""
    if turn <= host.highest:
        return host
    return host._replace(highest=turn, results=frozenset())


def with_thread(host: Host, thread: Thread) -> Host:
    return host._replace(threads=tuple(sorted((*host.threads, thread))))


def without_thread(host: Host, thread: Thread) -> Host:
    place = host.threads.index(thread)
    return host._replace(threads=host.threads[:place] + host.threads[place + 1 :])


def step_of(world: World, message: Message) -> Step:
    """The step that the first order of a leg is for."""
    return OPERATIONS[world.db.actions[message.action].operation].steps[message.orders[0].seq]


def said(message: Message) -> str:
    """A message in a trace."""
    orders = " ".join(f"{order.verb}{order.seq}" for order in message.orders)
    return f"a{message.action} t{message.turn} {orders}"
