"""The smaller run: real guests on three hosts of a rig, their workers, libvirtd and power taken away.

The same load and the same calm afterwards; what is on the hosts is asked of virsh (`tests/rig/invariants.py`).
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from cloud.embedded import supervisor
from cloud.embedded.progress import Console
from cloud.embedded.rest import Cloud
from cloud.embedded.rig import control
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble
from tests.chaos import invariants
from tests.chaos.database import Database
from tests.chaos.load import Load, Made
from tests.chaos.run import Outcome, endure
from tests.chaos.watch import Watch
from tests.rig.rig import Rig

KILLS = 30
SECONDS_A_KILL = 12.0
# Of all kills, per cent. `power` is a power loss of a whole host, which comes back half a minute later.
SHARES = {"compute": 45, "compute-ctl": 15, "conductor": 12, "libvirtd": 15, "power": 13}
DARK = 25.0  # seconds without power: longer than the down limit of a rig


@dataclass
class RigNemesis:
    """Kills on the hosts of a rig and in its control plane, in an order that comes from the seed."""

    rig: Rig
    settings: Settings
    watch: Watch
    seed: int
    kills: int
    console: Console
    last_kill_at: float = 0.0
    _dark: threading.Thread | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Deals all kills; returns when every host has power again."""
        generator = random.Random(f"{self.seed}/rig")
        kinds = [kind for kind, share in SHARES.items() for _ in range(max(1, round(share * self.kills / 100)))]
        generator.shuffle(kinds)
        kinds = (kinds + ["compute"] * self.kills)[: self.kills]
        try:
            for kind in kinds:
                if self._stop.wait(generator.uniform(0.5, 1.5) * SECONDS_A_KILL):
                    return
                self._kill(kind, generator.choice(self.rig.hosts))
        finally:
            if self._dark is not None:
                self._dark.join()

    def stop(self) -> None:
        """No further kill."""
        self._stop.set()

    def _kill(self, kind: str, host: str) -> None:
        for _ in range(60):
            try:
                if kind == "conductor":
                    os.kill(supervisor.named(self.settings, "conductor").pid, signal.SIGKILL)
                    host = "controller"
                elif kind == "power":
                    self._cut_power(host)
                else:
                    self.rig.kill(host, kind)
                break
            except (AssertionError, Trouble, ProcessLookupError) as error:
                self.console.line(f"{kind} on {host}: not now: {str(error)[:120]}")
                if self._stop.wait(1):
                    return
                host = next((name for name in self.rig.hosts if self.rig.has_power(name)), host)
        self.last_kill_at = time.time()
        self.watch.struck(kind, host, is_kill=True)

    def _cut_power(self, host: str) -> None:
        if self._dark is not None:
            self._dark.join()  # one at a time: somebody has to be there to take the guests
        self.rig.crash(host)
        self._dark = threading.Thread(target=self._power_on, args=(host,), name=f"power of {host}")
        self._dark.start()

    def _power_on(self, host: str) -> None:
        self._stop.wait(DARK)
        self.rig.start(host)


def run(*, seed: int, kills: int, console: Console) -> Outcome:
    """The whole run, on a rig of its own or the one that TEST_RIG names."""
    console.line(f"chaos on a rig: seed {seed}, {kills} kills")
    running = os.environ.get("TEST_RIG")
    if running:
        return run_on(Rig.of(Path(running)), seed=seed, kills=kills, console=console)
    with console.step("rig of three hosts"):
        rig = Rig.up_in(Path(tempfile.mkdtemp(prefix="kn-rig-", dir="/var/lib")))
    try:
        return run_on(rig, seed=seed, kills=kills, console=console)
    finally:
        with console.step("rig down"):
            rig.down()


def run_on(rig: Rig, *, seed: int, kills: int, console: Console) -> Outcome:
    """The run on a rig that is up; every server of it is deleted at the end, with nothing left."""
    settings = control.settings(rig.plan, environment={})
    rest = Cloud(settings)
    flavors = rest.get("/compute/v2.1/flavors")["flavors"]
    made = Made(
        url=settings.local_url,
        password=settings["ADMIN_PASSWORD"],
        image=str(rest.get("/image/v2/images?name=tiny")["images"][0]["id"]),
        flavors=tuple(sorted(flavor["id"] for flavor in flavors)),
        network=str(rest.get("/networking/v2.0/networks?name=shared")["networks"][0]["id"]),
    )
    database = Database(settings["DATABASE_URL"])
    load, watch = Load(made, seed, users=3, servers_each=1, pause=5.0), Watch(database)
    nemesis = RigNemesis(rig, settings, watch, seed, kills, console)

    def check() -> list[invariants.Breach]:
        return [*invariants.of_the_log(database, load.accepted), *invariants.agreement(rig.invariants())]

    outcome = endure(load, watch, nemesis, check, console, operations=0, said={"seed": seed, "hosts": "libvirt"})
    with console.step("delete what is there"):
        there = [server["id"] for server in rest.get("/compute/v2.1/servers")["servers"]]
        rig.delete(*there)
        for image in rest.get("/image/v2/images?limit=1000")["images"]:
            if (image["name"] or "").startswith("chaos-"):  # the users' snapshots
                rest.delete(f"/image/v2/images/{image['id']}")
    left = {server: found for server in there if (found := rig.left_of(server))}
    if left:
        outcome.timelines.append(f"✗ left after the delete: {left}")
        outcome.figures["broken_invariants"] += len(left)
    return outcome
