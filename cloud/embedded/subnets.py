"""Which addresses the shared network gets: a /24 that this machine does not use, nor another cloud on it."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble

# A network of a cloud has no route before its first guest runs, so clouds on one machine also tell each other here.
TAKEN = Path("/run/kilonova-subnets")


def choose(settings: Settings) -> str:
    """The CIDR that SHARED_CIDR says, or with `auto` the first 10.x.y.0/24 that nobody here has; noted as taken."""
    wanted = settings["SHARED_CIDR"]
    if wanted != "auto":
        try:
            return str(IPv4Network(wanted))
        except ValueError as error:
            raise Trouble(f"SHARED_CIDR={wanted}: {error}") from error
    return str(take(settings.state_dir))


def take(owner: Path) -> IPv4Network:
    """The first /24 that nobody on this machine has; noted as the owner's (a directory) as long as that exists."""
    return _note(owner, lambda others: first_free([*routes(), *others]))


def keep(owner: Path, network: IPv4Network) -> None:
    """Notes as the owner's what it took before the machine was booted anew; raises when somebody else has it now."""

    def still_free(others: list[IPv4Network]) -> IPv4Network:
        if any(network.overlaps(other) for other in others):
            raise Trouble(f"{network} of {owner} is another cloud's now: stop that one, or remove this one")
        return network

    _note(owner, still_free)


def _note(owner: Path, choose_beside: Callable[[list[IPv4Network]], IPv4Network]) -> IPv4Network:
    with TAKEN.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        others = [(cidr, whose) for cidr, _, whose in (line.strip().partition(" ") for line in file) if cidr]
        others = [(cidr, whose) for cidr, whose in others if Path(whose).is_dir() and whose != str(owner)]
        chosen = choose_beside([IPv4Network(cidr) for cidr, _ in others])
        file.truncate(0)
        file.writelines(f"{cidr} {whose}\n" for cidr, whose in [*others, (str(chosen), str(owner))])
    return chosen


def first_free(used: Iterable[IPv4Network]) -> IPv4Network:
    """The first /24 of 10.0.0.0/8 that overlaps none of the used ones."""
    taken = list(used)
    for candidate in IPv4Network("10.0.0.0/8").subnets(new_prefix=24):
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise Trouble("this machine has routes to all of 10.0.0.0/8: name a subnet in SHARED_CIDR")


def routes() -> Iterator[IPv4Network]:
    """The networks that this machine has a route to; the default route is none."""
    listed = subprocess.run(["ip", "-4", "route", "show"], capture_output=True, text=True, check=False)
    for line in listed.stdout.splitlines():
        words = [word for word in line.split() if word not in {"unreachable", "blackhole", "prohibit", "broadcast"}]
        try:
            network = IPv4Network(words[0], strict=False)
        except (ValueError, IndexError):
            continue
        if network.prefixlen > 0:
            yield network
