"""The broker's own Redis: loopback, a password, an append-only file, and never an eviction."""

from __future__ import annotations

from pathlib import Path

from cloud.embedded import broker_users, envfile
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble


def config_path(settings: Settings) -> Path:
    """Where the configuration is: the password is in it, so that it is in nobody's arguments."""
    return settings.run_dir / "redis.conf"


def config(settings: Settings) -> str:
    """The configuration file's text."""
    password = settings["REDIS_PASSWORD"]
    if any(char.isspace() or char in "\"'\\@/:#?" for char in password):
        raise Trouble("REDIS_PASSWORD: use letters, digits, - and _ alone; it is part of a URL and of redis.conf")
    addresses = dict.fromkeys(["127.0.0.1", settings["REDIS_HOST"]])
    if settings["REDIS_HOST"] == "0.0.0.0":
        addresses = {"0.0.0.0": None}
    lines = [
        "# Written by `./kilonova up`.",
        f"bind {' '.join(addresses)}",
        f"port {settings['REDIS_PORT']}",
        f"requirepass {password}",
        f"dir {settings.state_dir / 'redis'}",
        "daemonize no",
        "supervised no",
        'logfile ""',
        # At most a second of messages is lost; the database is the truth and the sweeps send again.
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        # An evicted binding would be a queue that nobody hears.
        "maxmemory-policy noeviction",
        *broker_users.config_lines(settings),
    ]
    return "\n".join(lines) + "\n"


def write_config(settings: Settings) -> bool:
    """Writes the file, readable for root alone; says whether it differs from the one that was there."""
    path, text = config_path(settings), config(settings)
    if path.exists() and path.read_text() == text:
        return False
    envfile.write_private(path, text)
    return True
