"""The compute worker: Celery tasks out of the declared steps, on the queue of this host. No Django, no database.

    celery -A hypervisor.worker worker -P threads -Q compute.<host>        hello, operations, heartbeat, events
    KILONOVA_CTL=1 celery -A hypervisor.worker worker -P threads -Q compute.<host>.ctl      aborts, queries, answers

The two are processes of their own and share the journal; a host needs both: what is said to its hello and heartbeats
comes to the control process, so that a busy pool never keeps them waiting. With the simulated driver one worker may
serve many hosts.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from celery import Celery
from celery.exceptions import Ignore
from celery.signals import setup_logging, worker_init, worker_ready, worker_shutdown

from cloud import broker, deliveries
from cloud import logging as cloud_logging
from hypervisor import answering, delivery, drivers, hearing, reports
from hypervisor.agent import Agent
from hypervisor.config import HostConfig, from_environment
from hypervisor.executor import Executor
from hypervisor.journal import Journal
from hypervisor.steps import HOST_STEPS

log = logging.getLogger(__name__)

CONFIGS = from_environment()
IS_CONTROL = os.environ.get("KILONOVA_CTL") == "1"


def _reader(configs: list[HostConfig]) -> str:
    queue = reports.control_queue_of if IS_CONTROL else reports.queue_of
    return queue(configs[0].name)


app = Celery("hypervisor")
broker.guard_lost_client()
broker.keep_clients()
broker.free_lost_slots()
deliveries.guard()
app.conf.update(
    broker.celery_settings(CONFIGS[0].broker_url, _reader(CONFIGS), CONFIGS[0].broker_ca_file or ""),
    worker_enable_remote_control=False,  # a lost Redis ends the worker otherwise
    worker_send_task_events=CONFIGS[0].send_events,
)


def _send(task: str, message: dict[str, Any]) -> None:
    app.send_task(task, args=[message], queue=reports.CONDUCTOR_QUEUE, retry=False)


def _report(task: str, message: dict[str, Any]) -> None:
    app.send_task(task, args=[message], queue=reports.CONDUCTOR_QUEUE)


def _executor(config: HostConfig) -> Executor:
    return Executor(config.name, config.key, drivers.load(config), Journal(config.journal_dir))


EXECUTORS = {config.name: _executor(config) for config in CONFIGS}
AGENTS = [Agent(config, EXECUTORS[config.name], _send, speaks_for_host=not IS_CONTROL) for config in CONFIGS]


def carry(leg: dict[str, Any], order: dict[str, Any]) -> dict[str, Any]:
    """One step of a leg: what it returns goes to the next step, from the last one to `workflow.advance`."""
    carried = delivery.carry(EXECUTORS, _report, leg, order)
    if carried is None:
        raise Ignore()
    return carried


def welcome(answer: dict[str, Any]) -> None:
    """The conductors' answer to a hello."""
    hearing.hear(EXECUTORS, reports.WELCOME, answer)


def heard(said: dict[str, Any]) -> None:
    """What the conductors say of a heartbeat."""
    hearing.hear(EXECUTORS, reports.HEARD, said)


def answer_query(query: dict[str, Any]) -> None:
    """Answers one question of the API through the conductors."""
    if not answering.answer(EXECUTORS, _send, query):
        raise Ignore()


for _name in sorted({step.task_name(verb) for step in HOST_STEPS for verb in ("do", "undo", "ask", "fence")}):
    app.task(name=_name, resultrepr_maxsize=0)(carry)  # results hold inputs: not for Flower
app.task(name="hypervisor.answer_query")(answer_query)
app.task(name=reports.WELCOME)(welcome)
app.task(name=reports.HEARD)(heard)
app.finalize()
broker.only_listed_tasks(app, "hypervisor.")


@setup_logging.connect
def _configure_logging(**_: Any) -> None:
    process = "compute-ctl" if IS_CONTROL else "compute"
    cloud_logging.configure(process, log_dir=CONFIGS[0].log_dir, debug=CONFIGS[0].debug)


@worker_init.connect  # before the first order is taken from a queue
def _leave(**_: Any) -> None:
    for agent in AGENTS:
        if agent.speaks_for_host:
            agent.leave()


@worker_ready.connect
def _start_agents(**_: Any) -> None:
    for agent in AGENTS:
        agent.start()


@worker_shutdown.connect  # when the steps at work have ended: until then their leases are renewed
def _stop_agents(**_: Any) -> None:
    for agent in AGENTS:
        agent.stop()
