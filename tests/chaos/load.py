"""The load: users who boot servers, do to them whatever their status allows, and delete them.

Each user is a thread with a random generator of its own, so the seed repeats its choices. What is refused (400, 403,
404, 409, 503) is not an operation; what was accepted is one, and its request id has to be found in the action log.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests

MICROVERSION = "2.95"
TIMEOUT = 30.0

# Status → what may be asked then, with its weight.
VERBS: dict[str, tuple[tuple[str, int], ...]] = {
    "ACTIVE": (
        *(("stop", 4), ("reboot", 3), ("hard_reboot", 3), ("pause", 3), ("suspend", 3), ("snapshot", 3)),
        *(("rebuild", 3), ("rescue", 2), ("resize", 4), ("migrate", 4), ("live", 6), ("shelve", 2), ("delete", 4)),
    ),
    "SHUTOFF": (("start", 8), ("rebuild", 2), ("snapshot", 2), ("migrate", 3), ("resize", 2), ("delete", 2)),
    "PAUSED": (("unpause", 8), ("live", 2), ("snapshot", 1), ("delete", 1)),
    "SUSPENDED": (("resume", 8), ("snapshot", 1), ("delete", 1)),
    "RESCUE": (("unrescue", 8), ("stop", 1), ("delete", 1)),
    "VERIFY_RESIZE": (("confirm", 5), ("revert", 5), ("delete", 1)),
    "SHELVED": (("unshelve", 5), ("offload", 5), ("delete", 1)),
    "SHELVED_OFFLOADED": (("unshelve", 8), ("delete", 1)),
    "ERROR": (("hard_reboot", 2), ("rebuild", 2), ("evacuate", 2), ("delete", 6)),
}
# On a server that is busy: an impatient user. Anything but a delete is to be refused.
IMPATIENT = (("delete", 1), ("stop", 1), ("rebuild", 1))
IMPATIENCE = 0.08


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A request that the cloud accepted."""

    verb: str
    server: str
    request_id: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Made:
    """What servers are made of, and where the cloud is."""

    url: str
    password: str
    image: str
    flavors: tuple[str, ...]
    network: str


@dataclass
class Load:
    """All users. `pause`: seconds between two requests of one, at most."""

    made: Made
    seed: int
    users: int = 8
    servers_each: int = 3
    pause: float = 1.2
    accepted: list[Accepted] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    surprises: list[str] = field(default_factory=list)
    _token: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Every user begins."""
        for number in range(self.users):
            user = User(self, random.Random(f"{self.seed}/user/{number}"), f"chaos-{number}")
            thread = threading.Thread(target=user.live, args=(self._stop,), name=user.name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """No further request; returns when the last one was answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def token(self, *, is_new: bool = False) -> str:
        """A token of the user admin."""
        with self._guard:
            if is_new or not self._token:
                user = {"name": "admin", "domain": {"id": "default"}, "password": self.made.password}
                identity = {"methods": ["password"], "password": {"user": user}}
                scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
                body = {"auth": {"identity": identity, "scope": scope}}
                answer = requests.post(f"{self.made.url}/identity/v3/auth/tokens", json=body, timeout=TIMEOUT)
                answer.raise_for_status()
                self._token = answer.headers["X-Subject-Token"]
            return self._token

    def call(self, method: str, path: str, body: Any = None) -> requests.Response | None:
        """One request; None when nobody answered."""
        try:
            for is_new in (False, True):
                headers = {
                    "X-Auth-Token": self.token(is_new=is_new),
                    "OpenStack-API-Version": f"compute {MICROVERSION}",
                }
                answer = requests.request(
                    method, f"{self.made.url}/compute/v2.1{path}", json=body, headers=headers, timeout=TIMEOUT
                )
                if answer.status_code != 401:
                    break
        except requests.RequestException:
            with self._guard:
                self.unanswered += 1
            return None
        if answer.status_code >= 500 and answer.status_code != 503:
            self.surprises.append(f"{method} {path} {body} answered {answer.status_code}: {answer.text[:300]}")
        return answer

    def note(self, verb: str, server: str, answer: requests.Response | None) -> bool:
        """Whether the request was accepted; counts it."""
        if answer is None:
            return False
        with self._guard:
            if answer.status_code >= 300:
                self.refused[f"{verb} {answer.status_code}"] += 1
                return False
            request_id = answer.headers["X-Compute-Request-Id"]
            self.accepted.append(Accepted(verb=verb, server=server, request_id=request_id, at=time.time()))
        return True


@dataclass
class User:
    """One user, with some servers at a time."""

    load: Load
    random: random.Random
    name: str
    servers: list[str] = field(default_factory=list)
    count: int = 0

    def live(self, stop: threading.Event) -> None:
        """Asks for one thing after the other until it is told to stop."""
        while not stop.wait(self.random.uniform(0.1, self.load.pause)):
            if len(self.servers) < self.load.servers_each:
                self._boot()
            else:
                self._act(self.random.choice(self.servers))

    def _boot(self) -> None:
        self.count += 1
        made = self.load.made
        wanted = {
            "name": f"{self.name}-{self.count}",
            "imageRef": made.image,
            "flavorRef": self.random.choice(made.flavors),
            "networks": [{"uuid": made.network}],
        }
        answer = self.load.call("POST", "/servers", {"server": wanted})
        server = answer.json()["server"]["id"] if answer is not None and answer.status_code == 202 else ""
        if self.load.note("boot", server, answer):
            self.servers.append(server)

    def _act(self, server: str) -> None:
        answer = self.load.call("GET", f"/servers/{server}")
        if answer is None:
            return
        if answer.status_code == 404:
            self.servers.remove(server)
            return
        if answer.status_code != 200:
            return
        found = answer.json()["server"]
        if found["OS-EXT-STS:task_state"] is not None or found["status"] == "BUILD":
            if self.random.random() < IMPATIENCE:
                self._ask(self._choose(IMPATIENT), server)
        elif found["status"] in VERBS:
            self._ask(self._choose(VERBS[found["status"]]), server)

    def _choose(self, weighted: tuple[tuple[str, int], ...]) -> str:
        names, weights = zip(*weighted, strict=True)
        return str(self.random.choices(names, weights)[0])

    def _ask(self, verb: str, server: str) -> None:
        if verb == "delete":
            answer = self.load.call("DELETE", f"/servers/{server}")
        else:
            answer = self.load.call("POST", f"/servers/{server}/action", self._body(verb))
        self.load.note(verb, server, answer)

    def _body(self, verb: str) -> dict[str, Any]:
        made = self.load.made
        bodies: dict[str, dict[str, Any]] = {
            "stop": {"os-stop": None},
            "start": {"os-start": None},
            "reboot": {"reboot": {"type": "SOFT"}},
            "hard_reboot": {"reboot": {"type": "HARD"}},
            "pause": {"pause": None},
            "unpause": {"unpause": None},
            "suspend": {"suspend": None},
            "resume": {"resume": None},
            "snapshot": {"createImage": {"name": f"{self.name}-snapshot"}},
            "rebuild": {"rebuild": {"imageRef": made.image}},
            "rescue": {"rescue": None},
            "unrescue": {"unrescue": None},
            "resize": {"resize": {"flavorRef": self.random.choice(made.flavors)}},
            "migrate": {"migrate": None},
            "live": {"os-migrateLive": {"host": None, "block_migration": "auto"}},
            "confirm": {"confirmResize": None},
            "revert": {"revertResize": None},
            "shelve": {"shelve": None},
            "offload": {"shelveOffload": None},
            "unshelve": {"unshelve": None},
            "evacuate": {"evacuate": {}},
        }
        return bodies[verb]
