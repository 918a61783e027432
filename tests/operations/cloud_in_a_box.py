"""A whole cloud in one thread: the real engine, steps, executor, journal and simulated driver, and an in-memory queue.

Messages wait until the test delivers them, so that a test may lose, repeat or delay any of them, and kill a host
between any two lines of the executor. A leg travels as Celery would carry it: through kombu's memory transport, with
the chain in the message.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import signature
from django.db import connections
from django.utils import timezone
from kombu import Connection, Queue

from cloud.celery import app
from cloud.workflow import tasks, tokens
from cloud.workflow.models import Action, ActionEvent, Service
from cloud.workflow.services import enroll_host
from cloud.workflow.states import LIVE, OPEN
from cloud.workflow.sweeps import SWEEPS, mark_hosts_down
from hypervisor import answering, delivery, drivers, hearing, reports
from hypervisor.agent import Agent
from hypervisor.config import HostConfig
from hypervisor.executor import Executor
from hypervisor.journal import Journal
from hypervisor.simulated.lifecycle import OFF
from scheduling.services import refresh_schedulable

CONDUCTOR_QUEUES = ("conductor", "scheduler")


class Killed(BaseException):
    """The process dies here."""


@dataclass
class Message:
    """One message taken from a queue."""

    queue: str
    task: str
    args: list[Any]
    chain: list[Any]


@dataclass
class CloudInABox:
    """Hosts by name; `step` delivers one message, `run` all until nothing waits."""

    directory: Path
    executors: dict[str, Executor] = field(default_factory=dict)
    configs: dict[str, HostConfig] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    delivered: list[Message] = field(default_factory=list)
    off: set[str] = field(default_factory=set)  # hosts without power: they say and take nothing

    def add_host(self, name: str, **inventory: Any) -> Executor:
        """Enrols a simulated host, welcomed, up and with its inventory known."""
        key = tokens.host_key(enroll_host(name=name))
        self.configs[name] = HostConfig(
            name=name, key=key, broker_url="memory://", state_dir=self.directory / name, driver="simulated"
        )
        self.start_worker(name)
        self.beat(name)
        return self.executors[name]

    def start_worker(self, name: str) -> Executor:
        """A fresh worker process of the host: all that it remembers is on its disk, and it is not welcomed yet."""
        config = self.configs[name]
        if name in self.executors:
            self.executors[name].driver.close()
        executor = Executor(name, config.key, drivers.load(config), Journal(config.journal_dir), patience=0.0)
        self.executors[name] = executor
        self.agents[name] = Agent(config, executor, self._say)
        self.agents[name].leave()
        return executor

    def beat(self, name: str) -> bool:
        """One heartbeat of the host, delivered, and all that comes of it: it may have to say hello first. Whether it is
        welcome."""
        agent = self.agents[name]
        agent.look()
        agent.look()  # what was here at both counts
        agent._patience = 0.0  # a hello that waits for its answer is said again
        for _ in range(10):
            has_beaten = agent.keep_in_touch() == agent.config.heartbeat_interval
            if not self.hear(name) and has_beaten:
                break
        return not agent.is_waiting

    def hear(self, name: str) -> bool:
        """Delivers what was said to the host on its control queue; whether there was anything."""
        messages = iter(lambda: self.take(reports.control_queue_of(name)), None)
        return bool([self.deliver(message) for message in messages])

    def power_off(self, name: str) -> None:
        """The host is gone: it is marked down, and its guests do not run."""
        self.off.add(name)
        running = (guest for guest in self.executors[name].driver.lifecycle.guests() if guest.power_state not in OFF)
        for guest in running:
            self.executors[name].driver.lifecycle.set_power_state(guest.instance_id, 4, "stopped")  # type: ignore[attr-defined]
        Service.objects.filter(host=name).update(last_seen_at=timezone.now() - timedelta(days=1))
        mark_hosts_down()
        refresh_schedulable([name])

    def power_on(self, name: str) -> None:
        """The host is back: its worker starts, says hello and is welcomed."""
        self.off.discard(name)
        self.start_worker(name)
        self.beat(name)

    @staticmethod
    def _say(task: str, message: dict[str, Any]) -> None:
        tasks.app.tasks[task](json.loads(json.dumps(message)))

    def renew(self, name: str) -> None:
        """One renewal of each step at work on the host, delivered."""
        self.agents[name].renew_leases()

    # --- queues ---

    def take(self, queue: str) -> Message | None:
        """Takes the next message off a queue."""
        with Connection(app.conf.broker_url) as connection, connection.channel() as channel:
            bound = Queue(queue)(channel)
            bound.declare()
            raw = bound.get(no_ack=True)
        if raw is None:
            return None
        args, _, embed = raw.payload
        return Message(queue, raw.headers["task"], list(args), list(embed.get("chain") or []))

    def waiting(self) -> list[str]:
        """Queues, in the order in which `step` looks at them."""
        hosts = [name for name in self.executors if name not in self.off]
        queues = [*map(reports.queue_of, hosts), *map(reports.control_queue_of, hosts)]
        return [*CONDUCTOR_QUEUES, *queues]

    def step(self, on: Callable[[Message], bool] = lambda message: True) -> Message | None:
        """Delivers the next message; `on` may swallow it (a lost message) by answering False."""
        for queue in self.waiting():
            message = self.take(queue)
            if message is not None:
                if on(message):
                    self.deliver(message)
                return message
        return None

    def deliver(self, message: Message) -> None:
        """What a worker does with a message, the chain that it carries included."""
        self.delivered.append(message)
        args = json.loads(json.dumps(message.args))
        if message.queue in CONDUCTOR_QUEUES:
            tasks.app.tasks[message.task](*args)
            return
        if message.task == "hypervisor.answer_query":
            answering.answer(self.executors, self._say, *args)
            return
        if message.task in (reports.WELCOME, reports.HEARD):
            hearing.hear(self.executors, message.task, *args)
            return
        carried = delivery.carry(self.executors, self._send, *args)
        if carried is not None:
            rest = list(message.chain)
            following = signature(rest.pop(), app=app)
            following.apply_async((carried,), chain=rest or None)

    def run(self, limit: int = 200) -> None:
        """Delivers until no message waits."""
        for _ in range(limit):
            if self.step() is None:
                return
        raise AssertionError(f"messages still wait after {limit}: the engine goes round in circles")

    @contextmanager
    def working(self) -> Iterator[None]:
        """Delivers in a thread of its own, as long as the body runs: for those who ask and wait for the answer."""
        with _repeated(lambda: self.step() is not None):
            yield

    @contextmanager
    def answering(self) -> Iterator[None]:
        """The same for questions to hosts alone: all other messages wait."""
        with _repeated(self._answer):
            yield

    def _answer(self) -> bool:
        hosts = [name for name in self.executors if name not in self.off]
        messages = [self.take(reports.control_queue_of(name)) for name in hosts]
        for message in messages:
            if message is not None:
                assert message.task == "hypervisor.answer_query", f"{message.task} waits too"
                self.deliver(message)
        return any(messages)

    def drain(self) -> None:
        """Loses every message that waits, also of hosts that are off."""
        for name in self.off:
            while self.take(reports.queue_of(name)) is not None:
                pass
        while self.step(on=lambda message: False) is not None:
            pass

    @staticmethod
    def _send(task: str, message: dict[str, Any]) -> None:
        app.send_task(task, args=[message], queue=reports.CONDUCTOR_QUEUE)

    # --- time and repair ---

    def expire(self) -> None:
        """Makes every lease, wait and grace run out, as if a minute had passed."""
        past = timezone.now() - timedelta(seconds=60)
        ActionEvent.objects.filter(state__in=OPEN).update(lease_until=past)
        Action.objects.filter(state__in=LIVE).update(updated_at=past)
        Action.objects.filter(state__in=LIVE, not_before__isnull=False).update(not_before=past)
        Action.objects.filter(state__in=LIVE, published_at__isnull=False).update(published_at=past)

    def recover(self, rounds: int = 40) -> None:
        """Lets time pass, sweeps and delivers, until no action is alive."""
        for _ in range(rounds):
            self.run()
            if not self.live_actions():
                return
            self.expire()
            for name, sweep in SWEEPS:
                if name != "workflow.mark_hosts_down":  # nobody beats here between two rounds
                    sweep()
        raise AssertionError(f"not ended after {rounds} rounds: {[str(a) for a in self.live_actions()]}")

    # --- what is left ---

    def live_actions(self) -> list[Action]:
        """Actions that hold a target."""
        return list(Action.objects.filter(state__in=LIVE))

    def restart_workers(self) -> None:
        """Every worker process anew, and welcomed."""
        for name in list(self.executors):
            if name not in self.off:
                self.start_worker(name)
                self.beat(name)

    def leftovers(self, instance_id: Any) -> list[str]:
        """What is left of an instance on any host: guests, files, DHCP entries."""
        return [left for name in self.executors for left in self.leftovers_on(name, instance_id)]

    def leftovers_on(self, name: str, instance_id: Any) -> list[str]:
        """What is left of an instance on one host; files of the host that name it count too."""
        found = []
        if self.executors[name].driver.lifecycle.state(str(instance_id)) is not None:
            found.append(f"guest on {name}")
        state_dir = self.configs[name].state_dir
        for path in state_dir.rglob("*"):
            if "journal" not in path.relative_to(state_dir).parts and str(instance_id) in path.name:
                found.append(f"{path.relative_to(state_dir)} on {name}")
        return found


@contextmanager
def _repeated(work: Callable[[], bool]) -> Iterator[None]:
    """Calls `work` in a thread, again and again while the body runs; what it raised is raised at the end."""
    errors: list[BaseException] = []
    stop = threading.Event()

    def run() -> None:
        try:
            while not stop.is_set():
                if not work():
                    stop.wait(0.005)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, name="box")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    if errors:
        raise errors[0]
