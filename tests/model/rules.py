"""The rules of ENGINE.md as switches. All are on in the engine; `scenarios.MUTATIONS` switches each off once, and the
search must find what that breaks: so it is known that the model can fail.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """Each field is one rule, or one clause of one; off, the model does what its comment says."""

    turns_of_target: bool = True  # R1: off, a new action begins at turn 1
    advance_takes_a_turn: bool = True  # R1: off, an accepted report stays in its turn
    commits_before_publishing: bool = True  # R2: off, messages go out and the commit may fail
    checks_under_lock: bool = True  # R3: off, the turn is compared when the order arrives and not again
    raises_turn_on_receipt: bool = True  # R3: off, the highest turn is saved with the result
    journal_outlives_instance: bool = True  # R3: off, removing the instance removes it
    settles_orphans: bool = True  # R3: off, what a killed worker left running is not ended first
    undoes_what_was_given: bool = True  # R4: off, only what is known to be done is undone
    fences_without_undo: bool = True  # R4: off, a step with no undo is not fenced on the way back
    fences_first: bool = True  # R4: off, a delete removes from one host, the last first, before the next is fenced
    delete_covers_log: bool = True  # R4: off, it goes to the instance's own host alone
    asks_the_pivot: bool = True  # R5: off, an unanswered pivot counts as not happened
    doubts_refused_pivots: bool = True  # R5: off, a pivot whose message came back and was refused was never begun
    believes_witness_no: bool = False  # R5: on, a witness's "no" counts
    says_hello: bool = True  # R6: off, a worker that starts anew goes on in its old generation
    lets_lost_guests_go: bool = True  # R6: off, a returning host keeps what is not its own
    clears_away: bool = True  # R6, R8: off, what a debt does not undo stays on a host that the guest has left
    refuses_old_generations: bool = True  # R6: off, tokens of any generation are taken
    makes_debts: bool = True  # R8: off, unwinding waits for hosts that are down
    keeps_room_of_debtors: bool = True  # R8: off, what the target holds there is freed at once
    remembers_once: bool = True  # R10: off, a step that cannot see its own effect is repeated
    remembers_once_done: bool = True  # R10: off, its result is forgotten with its turn
    names_the_verb: bool = True  # R7: off, the journal's key has no verb, so an undo finds the result of its step
