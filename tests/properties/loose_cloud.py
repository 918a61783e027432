"""A cloud in a box whose messages, of whichever kind, wait in one place until somebody picks one; whose processes die
wherever somebody says; and which notes what its hosts do.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cloud.workflow.models import Action, Host
from cloud.workflow.states import LIVE
from hypervisor import reports
from hypervisor.executor import Executor
from tests.operations.cloud_in_a_box import CONDUCTOR_QUEUES, CloudInABox, Killed, Message


class Broken(AssertionError):
    """Something that must hold does not."""


@dataclass
class LooseCloud(CloudInABox):
    """`wire` holds every message that was sent and not delivered, heartbeats and hellos too; in `direct` mode those go
    straight to the conductor, as in a cloud in a box."""

    wire: list[Message] = field(default_factory=list)
    direct: bool = True
    dead: set[str] = field(default_factory=set)  # hosts whose worker processes are not there
    point: str = ""  # where the host that takes the next order dies
    breakage: Callable[[], Exception] | None = None  # what the next step to do fails with
    breaks_after: bool = False
    renews: bool = False  # whether its lease is renewed before that
    recorded: dict[str, set[str]] = field(default_factory=dict)  # host → tokens whose result is in its journal

    # --- messages ---

    def pump(self) -> None:
        """Takes what was sent off its queues."""
        for queue in (*CONDUCTOR_QUEUES, *self._host_queues()):
            while (message := self.take(queue)) is not None:
                self.wire.append(message)

    def _host_queues(self) -> Iterator[str]:
        for name in sorted(self.executors):
            yield reports.queue_of(name)
            yield reports.control_queue_of(name)

    def _say(self, task: str, message: dict[str, Any]) -> None:  # type: ignore[override]
        if self.direct:
            super()._say(task, message)
        else:
            self.wire.append(Message("conductor", task, [message], []))

    def host_of(self, message: Message) -> str:
        """The host that the message is for; "" for the conductors."""
        queue = message.queue
        return "" if queue in CONDUCTOR_QUEUES else queue.removeprefix("compute.").removesuffix(".ctl")

    def can_be_delivered(self, message: Message) -> bool:
        """Its process is there to take it."""
        return self.host_of(message) not in self.dead | self.off

    def deliver(self, message: Message) -> None:
        """As a worker would; nobody acts for an action that has ended, except while another one, which superseded it,
        is on its way to fence the host."""
        name = self.host_of(message)
        leg = message.args[0] if name and isinstance(message.args[0], dict) else {}
        action = leg.get("action")
        is_alive = not action or Action.objects.filter(target_id=leg["target"], state__in=LIVE).exists()
        if is_alive or self._is_unreached(name):
            super().deliver(message)
            return
        before = self.world_of(name)
        super().deliver(message)
        if self.world_of(name) != before:
            raise Broken(f"{message.task} acted on {name} after its action {action} had ended")

    def _is_unreached(self, name: str) -> bool:
        """Taken for down and alive: what runs there nobody can stop (rule R6, "not guaranteed")."""
        return name not in self.off and not Host.objects.get(name=name).is_up

    def world_of(self, name: str) -> dict[str, tuple[int, int]]:
        """What is on a host: every file but the journal's, with its size and the time of its last change."""
        state_dir = self.configs[name].state_dir
        return {
            str(path.relative_to(state_dir)): (stat.st_size, stat.st_mtime_ns)
            for path in state_dir.rglob("*")
            if path.is_file() and "journal" not in path.relative_to(state_dir).parts and (stat := path.stat())
        }

    # --- processes ---

    def start_worker(self, name: str) -> Executor:
        """See CloudInABox.start_worker; its steps can be made to fail and its process to die."""
        self.dead.discard(name)
        executor = super().start_worker(name)
        executor.fault_points = partial(self._at, name)
        executor.steps = {
            key: dataclasses.replace(step, do=self._breakable(step.do)) for key, step in executor.steps.items()
        }
        return executor

    def _at(self, name: str, point: str, order: dict[str, Any]) -> None:
        tokens = self.recorded.setdefault(name, set())
        if point == "before_effect" and order["token"] in tokens:
            raise Broken(f"{order['verb']} {order['name']} acts twice in turn {order['turn']} on {name}")
        if point == "after_record":
            tokens.add(order["token"])
        if point == self.point:
            self.point = ""
            if self.renews and point != "after_record":
                self.renew(name)
            raise Killed(f"{name} {point}")

    def _breakable(self, work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def do(step: Any) -> Any:
            breakage, self.breakage = self.breakage, None
            if breakage is not None and not self.breaks_after:
                raise breakage()
            output = work(step)
            if breakage is not None:
                raise breakage()
            return output

        return do

    def kill_worker(self, name: str) -> None:
        """Its processes are gone; its guests run on."""
        self.dead.add(name)

    def lose_journal(self, name: str) -> None:
        """The host's journal is gone, and its processes with it."""
        self.kill_worker(name)
        self.recorded.pop(name, None)
        shutil.rmtree(self.configs[name].journal_dir)

    def power_off(self, name: str) -> None:
        """See CloudInABox.power_off; other hosts do not reach it."""
        self.executors[name].driver.power.lose_power()  # type: ignore[attr-defined]
        super().power_off(name)
        domains = self.configs[name].state_dir / "simulated" / "domains"
        domains.rename(domains.with_suffix(".off"))

    def power_on(self, name: str) -> None:
        """Its worker starts; it has yet to say hello."""
        domains = self.configs[name].state_dir / "simulated" / "domains"
        domains.with_suffix(".off").rename(domains)
        self.off.discard(name)
        self.start_worker(name)
