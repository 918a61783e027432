"""Where searches begin, how much may go wrong in them, and what each rule is there for."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from tests.model.network import Network
from tests.model.rules import Rules
from tests.model.search import Search
from tests.model.state import NOWHERE, Action, Budget, Database, Host, HostRow, Message, World

_AT_HOME = {
    "boot": (frozenset[str](), NOWHERE),
    "migrate": (frozenset({"disk", "guest"}), 0),
    "two_hosts": (frozenset[str](), 0),
    "start": (frozenset({"disk", "off"}), 0),
    "interrupt": (frozenset({"disk", "guest"}), 0),
}


def begun(operation: str, **budget: int) -> World:
    """A world in which `operation` was just asked for, and in which as much may go wrong as `budget` says."""
    things, home = _AT_HOME[operation]
    action = Action(operation, turn=1)
    claims = frozenset({home} - {NOWHERE})
    db = Database((action,), (HostRow(), HostRow()), claims=claims, home=home)
    first = Message("report", 0, 1)
    hosts = (Host(things=things), Host())
    return World(db, ((), ()), (first,), hosts, Budget(**budget))


class Scenario(NamedTuple):
    """What is asked for, and what may go wrong how often."""

    operation: str
    budget: dict[str, int]

    @property
    def name(self) -> str:
        wrong = " ".join(f"{name}={times}" for name, times in self.budget.items())
        return f"{self.operation} {wrong}"

    def search(self, rules: Rules | None = None, **limits: float) -> Search:
        network = Network(rules or Rules())
        return Search(network, begun(self.operation, **self.budget), **limits)  # type: ignore[arg-type]


# Searched to the last world in the test command: some seconds each at most.
SHORT = tuple(
    Scenario(operation, budget)
    for operation, budget in (
        ("boot", {"failure": 2}),
        ("boot", {"loss": 1, "duplicate": 1}),
        ("boot", {"conductor_death": 1, "cancel": 1}),
        ("boot", {"early_takeover": 1, "delete": 1}),
        ("boot", {"worker_death": 1, "failure": 1}),
        ("boot", {"journal_loss": 1}),
        ("boot", {"power_loss": 1}),
        ("boot", {"power_loss": 1, "stays_off": 1, "delete": 1}),
        ("boot", {"mistaken_down": 1}),
        ("boot", {"cut_off": 1}),
        ("migrate", {"failure": 1, "early_takeover": 1}),
        ("migrate", {"delete": 1, "loss": 1}),
        ("migrate", {"worker_death": 1, "cancel": 1}),
        ("migrate", {"power_loss": 1}),
        ("migrate", {"mistaken_down": 1}),
        ("two_hosts", {"early_takeover": 1, "failure": 1}),
        ("two_hosts", {"power_loss": 1}),
        ("interrupt", {"worker_death": 2}),
        ("start", {"power_loss": 1}),
        ("start", {"power_loss": 1, "cancel": 1}),
    )
)

# Minutes to an hour: `python -m tests.model --exhaustive`.
LONG = tuple(
    Scenario(operation, dict.fromkeys(pair, 1) if pair[0] != pair[1] else {pair[0]: 2})
    for operation in ("boot", "migrate", "two_hosts", "start", "interrupt")
    for pair in (
        *(("worker_death", "delete"), ("worker_death", "early_takeover"), ("worker_death", "worker_death")),
        *(("early_takeover", "early_takeover"), ("early_takeover", "cancel"), ("early_takeover", "duplicate")),
        *(("power_loss", "delete"), ("power_loss", "cancel"), ("power_loss", "failure"), ("power_loss", "power_loss")),
        *(("power_loss", "worker_death"), ("power_loss", "mistaken_down"), ("power_loss", "loss")),
        *(("journal_loss", "worker_death"), ("journal_loss", "delete"), ("journal_loss", "cancel")),
        *(("mistaken_down", "delete"), ("mistaken_down", "cancel"), ("mistaken_down", "worker_death")),
        *(("cut_off", "delete"), ("cut_off", "early_takeover"), ("conductor_death", "loss"), ("loss", "duplicate")),
    )
)

# What everything at once may go wrong in random walks.
WALKS = tuple(
    Scenario(operation, dict.fromkeys(Budget._fields, 1) | {"stays_off": 0})
    for operation in ("boot", "migrate", "two_hosts", "start", "interrupt")
)


class Mutation(NamedTuple):
    """Rules that are switched (most of them off), and a scenario in which that breaks something."""

    switched: tuple[str, ...]
    scenario: Scenario

    @property
    def name(self) -> str:
        return " and ".join(self.switched)

    def search(self, **limits: float) -> Search:
        rules = replace(Rules(), **{name: not getattr(Rules(), name) for name in self.switched})
        return self.scenario.search(rules, **limits)


def _mutation(switched: str, operation: str, **budget: int) -> Mutation:
    return Mutation(tuple(switched.split()), Scenario(operation, budget))


# Two together where each alone is caught by another rule: README.md says which.
MUTATIONS = (
    _mutation("turns_of_target", "boot", delete=1, early_takeover=1),
    _mutation("advance_takes_a_turn names_the_verb", "boot", cancel=1),
    _mutation("commits_before_publishing", "boot", conductor_death=1, cancel=1),
    _mutation("checks_under_lock", "boot", early_takeover=1),
    _mutation("raises_turn_on_receipt refuses_old_generations", "boot", early_takeover=1, worker_death=1),
    _mutation("journal_outlives_instance", "boot", early_takeover=1),
    _mutation("settles_orphans", "boot", worker_death=1, cancel=1),
    _mutation("undoes_what_was_given", "boot", early_takeover=1),
    _mutation("fences_without_undo", "interrupt", early_takeover=1),
    _mutation("fences_first", "migrate", delete=1),
    _mutation("delete_covers_log", "migrate", delete=1),
    _mutation("asks_the_pivot", "migrate", early_takeover=1),
    _mutation("doubts_refused_pivots", "migrate", worker_death=1, cancel=1),
    _mutation("believes_witness_no", "migrate", mistaken_down=1),
    _mutation("says_hello", "start", power_loss=1),
    _mutation("lets_lost_guests_go", "start", power_loss=1),
    _mutation("clears_away", "start", power_loss=1),
    _mutation("refuses_old_generations", "boot", journal_loss=1, delete=1),
    _mutation("makes_debts", "boot", power_loss=1, stays_off=1),
    _mutation("keeps_room_of_debtors", "boot", power_loss=1, delete=1),
    _mutation("remembers_once", "interrupt", worker_death=1),
    _mutation("remembers_once_done", "interrupt", worker_death=1),
)
