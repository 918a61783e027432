"""What is decided: the model of `cloud/workflow/{turn,unwinding,giving,log,reading,debts,services}.py`.

Every function takes the world and an action's place, and gives all that may come of it: worlds with the messages that
are to be published. An attempt more or less, and deadlines, are left to chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.model.operations import OPERATIONS, Operation, Step
from tests.model.rules import Rules
from tests.model.state import NOWHERE, Action, Debt, Message, Order, Result, World, with_action, with_row

Outcomes = list[tuple[World, tuple[Message, ...]]]
_RETRIES = 1


@dataclass(frozen=True)
class Conductor:
    """The rules by which it decides."""

    rules: Rules

    # --- entries ------------------------------------------------------------------------------------------------------

    def accept(self, world: World, index: int, results: Sequence[Result]) -> Outcomes:
        """A report of the action's turn: begins it, or goes on with it."""
        action = world.db.actions[index]
        if action.state == "PENDING":
            world = self._changed(self._next_turn(world, index), index, state="RUNNING")
            return self.forward(world, index)
        if any(result.order not in action.open for result in results) or not results:
            return []  # not asked for, or answered already (rule R7)
        if self.rules.advance_takes_a_turn:
            world = self._next_turn(world, index)
        for result in results:
            world = self._recorded(world, index, result)
        order, status = results[-1]
        world = self._changed(world, index, open=(), refused=order if status == "refused" else None)
        if status in ("refused", "behind"):
            return [(world, ())]  # waits; what is ahead of the database is caught up with by taking over
        if status in ("moved", "unmoved"):
            return self._after_answer(world, index, order, status == "moved")
        if status == "done":
            return self.decide(world, index)
        return self._after_failure(world, index, order, may_retry=status == "failed")

    def take_over(self, world: World, index: int, *, gives_up: bool) -> Outcomes:
        """After silence, or a wait (rule R9). `gives_up`: the attempts are spent."""
        world = self._next_turn(world, index)
        silent = frozenset(order.host for order in world.db.actions[index].open if order.verb == "do")
        action = world.db.actions[index]
        world = self._changed(world, index, open=(), refused=None, excluded=action.excluded | silent)
        if gives_up and action.state == "RUNNING" and not (action.asking or self._is_past_pivot(action)):
            return self._unwind_because(world, index, "failed")
        return self.decide(world, index)

    def supersede(self, world: World) -> World:
        """A delete: ends what runs, and goes to every host that the log names (rule R4)."""
        last = world.db.actions[-1]
        given = last.given if last.is_live and self.rules.delete_covers_log else frozenset()
        if last.is_live:
            ended = last._replace(state="SUPERSEDED", open=())
            world = with_action(world, len(world.db.actions) - 1, ended)
        hosts = tuple(sorted(given | ({world.db.home} - {NOWHERE}), reverse=not self.rules.fences_first))
        return self.start(world, "delete", hosts=hosts)

    def start(self, world: World, operation: str, *, hosts: tuple[int, ...] = ()) -> World:
        """A new action, PENDING, in the turn after its target's last (rule R1)."""
        turn = 1
        if self.rules.turns_of_target and world.db.actions:
            turn = max(action.turn for action in world.db.actions) + 1
        action = Action(operation, turn, hosts=hosts)
        return world._replace(db=world.db._replace(actions=(*world.db.actions, action)))

    # --- directions ---------------------------------------------------------------------------------------------------

    def decide(self, world: World, index: int) -> Outcomes:
        """Goes on in the direction that the action has."""
        action = world.db.actions[index]
        if action.state == "UNWINDING":
            return self.unwind(world, index)
        if self._is_past_pivot(action):
            return self.forward(world, index)
        if action.why or action.is_cancelled:
            return self._unwind_because(world, index, action.why or "cancelled")
        if self.rules.asks_the_pivot and any(never_answered for _, never_answered in action.doubts):
            return self._unwind_because(world, index, "failed")
        return self.forward(world, index)

    def forward(self, world: World, index: int) -> Outcomes:
        """The conductor's steps that come next, then the next leg; with none left, it succeeds."""
        action = world.db.actions[index]
        done = {(seq, host) for seq, host, is_done in action.effects if is_done}
        for seq, step in enumerate(OPERATIONS[action.operation].steps):
            if step.role == "C":
                if (seq, NOWHERE) not in done:
                    return self._run(world, index, seq, step)
                continue
            left = [host for host in self._hosts(action, step) if (seq, host) not in done]
            if step.owed and self._is_past_pivot(action):
                for host in list(left):
                    owing = self._owes(world, index, host, [(seq, "do")])
                    if owing is not None:
                        world = owing
                        left.remove(host)
                action = world.db.actions[index]
            if left:
                return self._give_forward(world, index, seq, left)
        return [(self._ended(world, index, "SUCCEEDED"), ())]

    def _run(self, world: World, index: int, seq: int, step: Step) -> Outcomes:
        """A conductor's step, in the transaction of its turn (rule R2)."""
        action, db = world.db.actions[index], world.db
        effects = action.effects | {(seq, NOWHERE, True)}
        if step.name != "claim":
            owing = {debt.host for debt in db.debts} if self.rules.keeps_room_of_debtors else set()
            if step.name == "rehome":
                db = db._replace(home=1)
            elif step.name == "free":
                db = db._replace(claims=db.claims - ({0} - owing))
            else:
                db = db._replace(home=NOWHERE, claims=db.claims & owing)
            return self.forward(self._changed(world._replace(db=db), index, effects=effects), index)
        if action.operation == "evacuate" and (db.rows[db.home].is_up or db.rows[db.home].hello):
            return self._unwind_because(world, index, "failed")  # it has begun to come back, with the instance
        wanted = {"migrate": {1}, "evacuate": {0, 1} - {db.home}}.get(action.operation, {0, 1})
        fit = [host for host in sorted(wanted - action.excluded) if db.rows[host].is_up]
        if not fit:
            return self._unwind_because(world, index, "failed")
        outcomes: Outcomes = []
        for host in fit:
            home = host if action.operation in ("boot", "evacuate") else db.home
            there = world._replace(db=db._replace(claims=db.claims | {host}, home=home))
            changes = {"effects": effects, "hosts": (host,), "source": db.home}
            outcomes += self.forward(self._changed(there, index, **changes), index)
        return outcomes

    def _give_forward(self, world: World, index: int, seq: int, left: Sequence[int]) -> Outcomes:
        """The first host that is left gets the run of steps that are its alone (rule R4)."""
        action = world.db.actions[index]
        verb = OPERATIONS[action.operation]
        if verb.goes_forward_only and len(left) > 1 and self.rules.fences_first:
            for host in left:
                if host not in action.reached:
                    return [self._give(world, index, host, [(seq, "fence")])]
        host, items = left[0], []
        in_effect = {(q, h) for q, h, is_done in action.effects if is_done}
        for q, step in list(enumerate(verb.steps))[seq:]:
            if step.role == "C" or (q, host) in in_effect or host not in self._hosts(action, step):
                break
            if q > seq and (self._hosts(action, step) != (host,) or q == verb.pivot):
                break
            items.append((q, "do"))
            if len(self._hosts(action, step)) > 1:
                break
        if world.db.rows[host].is_up:
            return [self._give(world, index, host, items)]
        if self._is_past_pivot(action):
            return [(world, ())]  # waits for the host
        world = self._changed(world, index, excluded=action.excluded | {host}, given=action.given | {host})
        reschedules = action.placements < verb.max_placements
        return self._unwind_because(world, index, "reschedule" if reschedules else "failed")

    def _after_failure(self, world: World, index: int, order: Order, *, may_retry: bool) -> Outcomes:
        action = world.db.actions[index]
        if order.verb != "do" or self._is_past_pivot(action):
            return [(world, ())]  # waits, and is tried again
        outcomes: Outcomes = []
        if may_retry:
            world = self._changed(world, index, excluded=action.excluded | {order.host})
            if action.retries < _RETRIES:
                outcomes.append((self._changed(world, index, retries=action.retries + 1), ()))
            if action.placements < OPERATIONS[action.operation].max_placements:
                outcomes += self._unwind_because(world, index, "reschedule")
        return outcomes + self._unwind_because(world, index, "failed")

    # --- the way back -------------------------------------------------------------------------------------------------

    def _unwind_because(self, world: World, index: int, why: str) -> Outcomes:
        """Turns round, unless the pivot is passed; one in doubt is asked about first (rule R5)."""
        action = world.db.actions[index]
        if self._is_past_pivot(action):
            return self.forward(world, index)
        world = self._changed(world, index, why=why)
        if action.doubts and self.rules.asks_the_pivot:
            return self._ask(world, index)
        return self.unwind(self._changed(world, index, state="UNWINDING"), index)

    def _ask(self, world: World, index: int) -> Outcomes:
        action = world.db.actions[index]
        pivot = OPERATIONS[action.operation].pivot
        assert pivot is not None
        world = self._changed(world, index, asking=True)
        doubted = min(host for host, _ in action.doubts)
        if world.db.rows[doubted].is_up:
            return [self._give(world, index, doubted, [(pivot, "ask")])]
        if world.db.rows[1].is_up and doubted != 1:
            return [self._give(world, index, 1, [(pivot, "ask")])]
        return [(world, ())]  # waits for whoever can answer

    def _after_answer(self, world: World, index: int, order: Order, moved: bool) -> Outcomes:
        action = world.db.actions[index]
        doubted = [host for host, _ in action.doubts]
        if doubted and not moved and not self.rules.believes_witness_no:
            return [(self._changed(world, index, witness_said_no=True), ())]  # the pivot may still be at work
        effects = {e for e in action.effects if e[0] != order.seq or moved}
        for host in doubted if moved else ():
            effects = {e for e in effects if e[:2] != (order.seq, host)} | {(order.seq, host, True)}
        why = "" if moved else action.why
        changes = {"asking": False, "doubts": frozenset(), "effects": frozenset(effects), "why": why}
        return self.decide(self._changed(world, index, **changes), index)

    def unwind(self, world: World, index: int) -> Outcomes:
        """Fences every host that was given a step, then undoes in reverse from the last step given (rules R4, R8)."""
        action = world.db.actions[index]
        involved = sorted({host for _, host, _ in action.effects if host != NOWHERE})
        for host in involved if len(involved) > 1 else ():
            if host in world.db.actions[index].reached:
                continue
            seq = max(seq for seq, h, _ in action.effects if h == host)
            owing = self._owes(world, index, host, [(seq, "fence")])
            if owing is None:
                return [self._give(world, index, host, [(seq, "fence")])]
            world = owing
        steps = OPERATIONS[action.operation].steps
        items: list[tuple[int, str]] = []
        leg_host = NOWHERE
        for seq, host, is_done in sorted(world.db.actions[index].effects, reverse=True):
            if host == NOWHERE:
                if items:
                    break
                world = self._undone_by_conductor(world, index, seq, steps[seq])
                continue
            verb = "undo" if steps[seq].has_undo else "fence"
            is_left_out = (verb == "fence" and not self.rules.fences_without_undo) or (
                not is_done and not self.rules.undoes_what_was_given
            )
            if is_left_out:
                world = self._without_effect(world, index, seq, host)
                continue
            if items and host != leg_host:
                break
            owing = None if items else self._owes(world, index, host, [(seq, verb)])
            if owing is not None:
                world = owing
            else:
                leg_host = host
                items.append((seq, verb))
        if items:
            if not world.db.rows[leg_host].is_up:
                return [(world, ())]  # only without debts
            return [self._give(world, index, leg_host, items)]
        return self._unwound(world, index)

    def _unwound(self, world: World, index: int) -> Outcomes:
        action = world.db.actions[index]
        if action.why != "reschedule":
            return [(self._ended(world, index, "CANCELLED" if action.why == "cancelled" else "FAILED"), ())]
        world = self._next_turn(world, index)
        changes = {"state": "RUNNING", "why": "", "placements": action.placements + 1, "hosts": (), "retries": 0}
        return self.decide(self._changed(world, index, **changes), index)

    def _undone_by_conductor(self, world: World, index: int, seq: int, step: Step) -> World:
        action, db = world.db.actions[index], world.db
        if step.name == "claim":
            owing = {debt.host for debt in db.debts} if self.rules.keeps_room_of_debtors else set()
            home = action.source if action.operation in ("boot", "evacuate") else db.home
            world = world._replace(db=db._replace(claims=db.claims - (set(action.hosts) - owing), home=home))
        return self._without_effect(world, index, seq, NOWHERE)

    # --- giving, owing, ending ----------------------------------------------------------------------------------------

    def _give(
        self, world: World, index: int, host: int, items: Sequence[tuple[int, str]]
    ) -> tuple[World, tuple[Message, ...]]:
        action, row = world.db.actions[index], world.db.rows[host]
        orders = tuple(Order(seq, verb, host, row.generation) for seq, verb in items)
        given = {(order.seq, host) for order in orders if order.verb == "do"}
        changes: dict[str, object] = {"open": orders, "given": action.given | {host}}
        if given:
            kept = {e for e in action.effects if e[:2] not in given}
            changes["effects"] = frozenset(kept | {(seq, h, False) for seq, h in given})
            changes["reached"] = action.reached - {host}
            pivot = OPERATIONS[action.operation].pivot
            if pivot and (pivot, host) in given:
                changes["doubts"] = action.doubts | {(host, True)}
        world = with_row(world, host, row._replace(given=max(row.given, action.turn)))
        return self._changed(world, index, **changes), (Message("leg", index, action.turn, host, orders),)

    def _owes(self, world: World, index: int, host: int, items: Sequence[tuple[int, str]]) -> World | None:
        """With the items as debts of the host; None when it is up (rule R8)."""
        action = world.db.actions[index]
        if world.db.rows[host].is_up or not self.rules.makes_debts:
            return None
        new = tuple(Order(seq, verb, host, 0) for seq, verb in items)
        before = next((d for d in world.db.debts if (d.action, d.turn, d.host) == (index, action.turn, host)), None)
        debt = Debt(index, action.turn, host, (*(before.orders if before else ()), *new))
        debts = (world.db.debts - {before} if before else world.db.debts) | {debt}
        world = world._replace(db=world.db._replace(debts=frozenset(debts)))
        for order in new:
            world = self._recorded(world, index, Result(order, "done"))
        return self._changed(world, index, given=action.given | {host})

    def _recorded(self, world: World, index: int, result: Result) -> World:
        """What a host's word, or a debt, comes to in the folded log."""
        action, (order, status) = world.db.actions[index], result
        verb: Operation = OPERATIONS[action.operation]
        key, is_pivot = (order.seq, order.host), order.seq == verb.pivot
        if status in ("refused", "behind") and (
            order.verb != "do" or not is_pivot or not self.rules.doubts_refused_pivots
        ):
            doubts = frozenset(d for d in action.doubts if d != (order.host, True))
            return self._changed(world, index, doubts=doubts if order.verb == "do" else action.doubts)
        others = frozenset(e for e in action.effects if e[:2] != key)
        others_doubts = frozenset(d for d in action.doubts if d[0] != order.host)
        if status in ("failed", "unknown", "refused", "behind"):
            # An order that is refused may have been begun before: its worker died, and the message came back.
            doubts = others_doubts | {(order.host, False)} if is_pivot and order.verb == "do" else action.doubts
            return self._changed(world, index, doubts=doubts)
        changes: dict[str, object] = {"doubts": others_doubts if is_pivot else action.doubts}
        if order.verb == "do":
            changes["effects"] = others | {(*key, True)}
        else:
            changes["reached"] = action.reached | {order.host}
            if status == "moved":
                changes["effects"] = others | {(*key, True)}
            elif order.verb != "fence" or not verb.steps[order.seq].has_undo:
                changes["effects"] = others
        return self._changed(world, index, **changes)

    def _ended(self, world: World, index: int, state: str) -> World:
        action, db = world.db.actions[index], world.db
        if action.operation == "evacuate" and state == "SUCCEEDED":
            world = world._replace(db=db._replace(claims=frozenset(action.hosts)))
        ended = Action(action.operation, action.turn, state, hosts=action.hosts)
        return with_action(world, index, ended)

    # --- small words --------------------------------------------------------------------------------------------------

    @staticmethod
    def _hosts(action: Action, step: Step) -> tuple[int, ...]:
        return {"S": (0,), "D": (1,)}.get(step.role, action.hosts)

    @staticmethod
    def _is_past_pivot(action: Action) -> bool:
        pivot = OPERATIONS[action.operation].pivot
        return pivot == 0 or any(seq == pivot and is_done for seq, _, is_done in action.effects)

    @staticmethod
    def _next_turn(world: World, index: int) -> World:
        action = world.db.actions[index]
        return with_action(world, index, action._replace(turn=action.turn + 1))

    @staticmethod
    def _without_effect(world: World, index: int, seq: int, host: int) -> World:
        action = world.db.actions[index]
        effects = frozenset(e for e in action.effects if e[:2] != (seq, host))
        return with_action(world, index, action._replace(effects=effects))

    @staticmethod
    def _changed(world: World, index: int, **changes: object) -> World:
        return with_action(world, index, world.db.actions[index]._replace(**changes))  # type: ignore[arg-type]
