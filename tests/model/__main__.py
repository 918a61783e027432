"""`python -m tests.model [--exhaustive] [--walk STEPS] [--seed N]`: searches the model at length.

Without options: the scenarios of the test command. `--exhaustive`: those and every pair of faults; an hour. Ends with 1
when something broke.
"""

from __future__ import annotations

import argparse
import random
import sys

from tests.model.network import Network
from tests.model.scenarios import LONG, MUTATIONS, SHORT, WALKS, begun
from tests.model.search import walk


def main() -> int:
    """Searches, and says what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    parser.add_argument("--exhaustive", action="store_true", help="every pair of faults too")
    parser.add_argument("--seconds", type=float, default=1e9, help="at most so long for each scenario")
    parser.add_argument("--limit", type=int, default=5_000_000, help="at most so many worlds for each scenario")
    parser.add_argument("--walk", type=int, default=0, metavar="STEPS", help="random walks too, of so many steps each")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    wanted = parser.parse_args()
    broken = worlds = 0
    for scenario in (*SHORT, *(LONG if wanted.exhaustive else ())):
        found = scenario.search(limit=wanted.limit, seconds=wanted.seconds).run()
        broken, worlds = broken + bool(found.violation), worlds + found.worlds
        print(f"{scenario.name}: {found}", flush=True)
    for mutation in MUTATIONS:
        found = mutation.search(limit=200_000).run()
        broken += not found.violation
        print(f"without {mutation.name}: {found.violation or 'NOTHING BREAKS'} ({len(found.path)} steps)", flush=True)
    for scenario in WALKS if wanted.walk else ():
        start = begun(scenario.operation, **scenario.budget)
        found = walk(Network(), start, steps=wanted.walk, seed=wanted.seed)
        broken += bool(found.violation)
        print(f"walk {scenario.operation}, seed {wanted.seed}: {found}", flush=True)
    print(f"{worlds} worlds, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
