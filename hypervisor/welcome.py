"""What a host does with the answer to its hello before it takes work (rule R6): it sees the turns of its guests, ends
those that are not its own any more, and pays what it owes (rule R8).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from cloud import context
from hypervisor.abandon import abandon
from hypervisor.executor import Executor

log = logging.getLogger(__name__)


@dataclass
class Debts:
    """What the host still owes: legs of orders, each with the results so far in its own `results`."""

    unpaid: list[dict[str, Any]] = field(default_factory=list)
    void: set[str] = field(default_factory=set)  # targets of those that later orders came before

    def pay(self, executor: Executor) -> list[dict[str, Any]]:
        """Tries each leg once; those that fail stay unpaid. Gives what the conductors must hear of each."""
        legs, self.unpaid = self.unpaid, []
        reports = []
        for debt in legs:
            results = _carry_out(executor, debt)
            is_void = bool(results) and results[-1]["status"] == "behind"  # the host had later orders for the target
            is_paid = len([r for r in results if r["status"] == "done"]) == len(debt["orders"])
            if not (is_paid or is_void):
                self.unpaid.append(debt)
            leg = debt["leg"]
            if is_void:
                self.void.add(leg["target"])
            reports.append({"action": leg["action"], "turn": debt["orders"][0]["turn"], "results": results})
        return reports


def _carry_out(executor: Executor, debt: dict[str, Any]) -> list[dict[str, Any]]:
    """One leg, step after step, up to the one that fails."""
    leg, results = {**debt["leg"], "results": []}, []
    for order in debt["orders"]:
        result = executor.carry(leg, order, entering=order["generation"])
        if result is None:
            break
        results.append(result)
        leg["results"].append(result)
        if result["status"] != "done":
            break
    return results


def let_go(executor: Executor, answer: dict[str, Any]) -> None:
    """After it the host has seen the turn of every target in the answer, and no guest runs here that is not its own;
    of what is not, only files that others need are left.

    Raises what the hypervisor raises: with such a guest left the host must not take work.
    """
    for target, turn in answer["turns"].items():
        executor.journal.of(target).raise_turn(turn)
    # A conductor that does not say what others need keeps all of it; who has debts keeps it until they are paid.
    keeps = {*answer.get("kept", answer["lost"]), *(debt["leg"]["target"] for debt in answer["debts"])}
    for target in answer["lost"]:
        journal = executor.journal.of(target)
        turn = journal.raise_turn(answer["turns"][target])
        with context.bound(instance=target, host=executor.name), journal.locked(turn, f"hello {answer['hello']}"):
            abandon(executor.driver, target, keeps_disk=target in keeps)


def clear_away(executor: Executor, answer: dict[str, Any], debts: Debts) -> None:
    """After the debts: the files of guests that were let go, which nobody needs any more, are gone. An undo removes
    only what its step made, and not what was there before it.

    Where a debt could not be paid, or later orders came before it, they stay.
    """
    kept = {*answer.get("kept", answer["lost"]), *debts.void, *(debt["leg"]["target"] for debt in debts.unpaid)}
    for target in {debt["leg"]["target"] for debt in answer["debts"]} & set(answer["lost"]) - kept:
        journal = executor.journal.of(target)
        holder = f"hello {answer['hello']} paid"
        with context.bound(instance=target, host=executor.name), journal.locked(journal.highest(), holder):
            abandon(executor.driver, target, keeps_disk=False)
