"""The Celery app of the API, the conductors and beat. Compute workers have their own, `hypervisor.worker`."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloud.settings")

from celery import Celery
from celery.fixups.django import DjangoWorkerFixup  # type: ignore[attr-defined]
from celery.signals import beat_init, celeryd_init, setup_logging, worker_ready
from django.conf import settings

from cloud import broker, deliveries
from cloud import logging as cloud_logging


def _close_old_connections(self: Any, **_: Any) -> None:
    """Instead of closing the database connection before and after every task, only one that is broken or too old."""
    from django.db import close_old_connections

    close_old_connections()


DjangoWorkerFixup.close_database = _close_old_connections
broker.guard_lost_client()
broker.keep_clients()
broker.free_lost_slots()
deliveries.guard()
app = Celery("kilonova")
app.conf.update(
    broker.celery_settings(settings.BROKER_URL, "conductor", settings.BROKER_CA_FILE),
    include=["cloud.workflow.tasks"],
    worker_send_task_events=True,
    beat_schedule={
        "sweep": {
            "task": "workflow.sweep",
            "schedule": settings.SWEEP_INTERVAL,
            "options": {"expires": settings.SWEEP_INTERVAL * 3, "queue": "conductor"},
        }
    },
)


@celeryd_init.connect
def _only_own_tasks(**_: Any) -> None:
    app.loader.import_default_modules()
    app.finalize()
    broker.only_listed_tasks(app, "workflow.")


@setup_logging.connect
def _configure_logging(loglevel: Any = None, **_: Any) -> None:
    cloud_logging.configure(
        os.environ.get("KILONOVA_PROCESS", "conductor"), log_dir=settings.LOG_DIR, debug=settings.DEBUG
    )


@worker_ready.connect
def _announce_worker(sender: Any = None, **_: Any) -> None:
    from cloud.workflow.presence import announce

    roles = {"conductor": "nova-conductor", "scheduler": "nova-scheduler"}
    announce(*(roles[queue.name] for queue in sender.task_consumer.queues if queue.name in roles))


@beat_init.connect
def _announce_beat(**_: Any) -> None:
    from cloud.workflow.presence import announce

    announce("kilonova-beat")
