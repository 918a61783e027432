"""How every process of the cloud uses Celery on Redis: settings that tests showed to matter, three repairs of kombu.

Django-free and shared by conductors and compute workers (docs/decisions/0001). Each worker process has unacked keys of
its own: `reader` names it.
"""

from __future__ import annotations

import ssl
from typing import Any

import redis.exceptions
from kombu.transport.redis import Channel, QoS


def celery_settings(broker_url: str, reader: str, ca_file: str = "") -> dict[str, Any]:
    """Celery's configuration for a process that reads as `reader` ("conductor", "compute.h1", "compute.h1.ctl").

    A broker at rediss:// is always verified: by `ca_file`, or without one by what the system trusts.
    """
    return {
        "broker_url": broker_url,
        **({"broker_use_ssl": _verified(ca_file)} if broker_url.startswith("rediss") else {}),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            # Redelivery is a last resort (it duplicates long steps); leases bring work back much earlier.
            "visibility_timeout": 7200,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_keepalive": True,
            "socket_timeout": 30,
            "health_check_interval": 25,
            "priority_steps": [0],
            "unacked_key": f"unacked.{reader}",
            "unacked_index_key": f"unacked_index.{reader}",
            "unacked_mutex_key": f"unacked_mutex.{reader}",
        }
        if broker_url.startswith("redis")
        else {},
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure_or_timeout": True,
        "task_ignore_result": True,
        "task_create_missing_queues": True,
        "task_default_queue": "conductor",
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_proc_alive_timeout": 30,
        "worker_soft_shutdown_timeout": 10,
        "timezone": "UTC",
    }


def publish_in_a_hurry(app: Any, seconds: float = 1.5) -> None:
    """For a process that only publishes, and for which somebody waits (the API): a broker that does not answer is given
    up after `seconds`, at once where nobody listens. Left alone, each publish is tried three times, for the socket's
    timeout of 30 s each at a Redis that stands still, and for 6 s at one that is gone. The sweep publishes what this
    did not.
    """
    options = dict(app.conf.broker_transport_options)
    if options:
        limits = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
        tries = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
        app.conf.broker_transport_options = {**options, **limits, **tries}


def _verified(ca_file: str) -> dict[str, Any]:
    trust = {"ssl_ca_certs": ca_file} if ca_file else {}
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **trust}


def only_listed_tasks(app: Any, prefix: str) -> None:
    """Takes every task off `app` that does not begin with `prefix`: Celery's own are never sent here (rule R7)."""
    for name in [name for name in app.tasks if not name.startswith(prefix)]:
        app.tasks.pop(name, None)


def guard_lost_client() -> None:
    """Makes a channel whose connection has lost its client raise redis' ConnectionError, which workers survive.

    kombu 5.7 reads `hostname` of None there when Redis was killed with a task in flight, and the worker ends.
    """
    original = Channel._connparams  # type: ignore[attr-defined]
    if getattr(original, "is_guarded", False):
        return

    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.connection is None or self.connection.client is None:
            raise redis.exceptions.ConnectionError("the broker connection is gone")
        return original(self, *args, **kwargs)

    guarded.is_guarded = True  # type: ignore[attr-defined]
    Channel._connparams = guarded  # type: ignore[attr-defined]


def free_lost_slots() -> None:
    """Makes a message that could not be acknowledged, for Redis was away, free its place in the prefetch all the same.

    kombu 5.7 keeps it: a worker whose every thread was at work when Redis went away never asked for a message again,
    and so never saw that the connection was lost. It lived on, deaf, until somebody restarted it. What was not
    acknowledged is delivered again, and dropped as a duplicate.
    """
    original = QoS.ack  # type: ignore[attr-defined]
    if getattr(original, "is_freeing", False):
        return

    def freeing(self: Any, delivery_tag: Any) -> None:
        try:
            original(self, delivery_tag)
        except Exception:
            self._quick_ack(delivery_tag)
            raise

    freeing.is_freeing = True  # type: ignore[attr-defined]
    QoS.ack = freeing  # type: ignore[method-assign]


def keep_clients() -> None:
    """Makes a channel keep its Redis client for as long as it has the same connection pool.

    kombu 5.7 makes a new client for every publish, receive and acknowledge; the client holds no connection, and making
    it costs more than using it: a tenth of all CPU time of a boot, measured.
    """
    original = Channel._create_client  # type: ignore[attr-defined]
    if getattr(original, "is_kept", False):
        return

    def kept(self: Any, asynchronous: bool = False) -> Any:
        if asynchronous:  # that one has a connection and a state of its own
            return original(self, asynchronous)
        pool = self.pool
        client = self.__dict__.get("_kept_client")
        if client is None or client.connection_pool is not pool:
            client = self.__dict__["_kept_client"] = original(self)
        return client

    kept.is_kept = True  # type: ignore[attr-defined]
    Channel._create_client = kept  # type: ignore[attr-defined]
