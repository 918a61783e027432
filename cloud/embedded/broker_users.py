"""Redis users of compute hosts: each may read its own queues and write the conductor's, and no more.

The rules are the least that Celery on Redis gets by with (docs/decisions/0001): a host that is taken over can neither
read another's orders nor give any. Passwords are derived, like hosts' keys, so nothing needs to be kept but the names.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from cloud.embedded import envfile
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble

COMMANDS = (
    "+ping +hello +client +select +brpop +lpush +rpush +llen +sadd +smembers +zadd +zrem +zrange +hset +hget +hdel "
    "+multi +exec +watch +unwatch +discard +evalsha +script|load +set +get +del"
)
READ_OWN = (
    "~{queue} ~unacked.{queue} ~unacked_index.{queue} ~unacked_mutex.{queue} "
    "%R~_kombu.binding.{queue} %W~_kombu.binding.{queue} ~_kombu.binding_permanent.{queue}"
)
WRITE_CONDUCTORS = "%W~conductor %W~_kombu.binding.conductor %W~_kombu.binding_permanent.conductor"
# Celery's events, for Flower: a host can falsify what Flower shows, and only that.
EVENTS = "+publish &/0.celeryev/*"


def rules(settings: Settings, host: str) -> str:
    """What stands behind the user's name in redis.conf and in ACL SETUSER, for a host's two worker processes."""
    digest = hashlib.sha256(settings.broker_password_of(host).encode()).hexdigest()
    own = [READ_OWN.format(queue=f"compute.{host}{suffix}") for suffix in ("", ".ctl")]
    return f"reset on #{digest} resetchannels -@all {COMMANDS} {EVENTS} {' '.join(own)} {WRITE_CONDUCTORS}"


def config_lines(settings: Settings) -> list[str]:
    """The users' lines of redis.conf: this machine's host, and those that were enrolled."""
    here = settings.hosts if settings.has_one_host else []
    hosts = dict.fromkeys([*here, *enrolled(settings)])
    return [f"user {settings.broker_user_of(host)} {rules(settings, host)}" for host in hosts]


def enrolled(settings: Settings) -> list[str]:
    """The other machines' hosts, in the order in which they were enrolled."""
    path = _names(settings)
    return path.read_text().split() if path.is_file() else []


def add(settings: Settings, host: str) -> None:
    """Lets a host in, now and after Redis starts again (redis.conf is written from the names)."""
    if host in settings.hosts:
        return
    names = dict.fromkeys([*enrolled(settings), host])
    envfile.write_private(_names(settings), "".join(f"{name}\n" for name in names))
    user = settings.broker_user_of(host)
    done = subprocess.run(
        ["redis-cli", "-p", settings["REDIS_PORT"], "ACL", "SETUSER", user, *rules(settings, host).split()],
        env={**os.environ, "REDISCLI_AUTH": settings["REDIS_PASSWORD"]},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.stdout.strip() != "OK":
        raise Trouble(f"Redis did not take the user {user}", details=done.stdout + done.stderr)


def _names(settings: Settings) -> Path:
    return settings.state_dir / "enrolled-hosts"
