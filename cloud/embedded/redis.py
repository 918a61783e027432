"""The broker's own Redis: users with passwords, an append-only file, never an eviction, and TLS when it is on.

Its users are in a file of its own, which Redis writes too: `manage.py enroll_host` adds hosts while it runs.
"""

from __future__ import annotations

from pathlib import Path

from cloud import broker_users
from cloud.embedded import envfile, tls
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble


def config_path(settings: Settings) -> Path:
    """Where the configuration is."""
    return settings.run_dir / "redis.conf"


def users_path(settings: Settings) -> Path:
    """Where the users are, with digests of their passwords."""
    return settings.state_dir / "redis" / "users.acl"


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
        *_listening(settings),
        f"aclfile {users_path(settings)}",
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
    ]
    return "\n".join(lines) + "\n"


def _listening(settings: Settings) -> list[str]:
    if not settings.has_tls:
        return [f"port {settings['REDIS_PORT']}"]
    pair = tls.server(settings)
    return [
        "port 0",
        f"tls-port {settings['REDIS_PORT']}",
        f"tls-cert-file {pair.certificate}",
        f"tls-key-file {pair.key}",
        f"tls-ca-cert-file {settings.ca_file}",
        "tls-auth-clients no",  # who they are, their passwords say
        'tls-protocols "TLSv1.2 TLSv1.3"',
        f"# certificate {tls.digest(settings)}",
    ]


def own_users(settings: Settings) -> list[str]:
    """The users that are there without anybody being enrolled, as lines of the ACL file: the administrator, the control
    plane, and this machine's compute host."""
    lines = [
        broker_users.admin_line(settings["REDIS_PASSWORD"]),
        broker_users.control_line(settings.broker_password),
    ]
    key = settings.get("KILONOVA_HOST_KEY")
    if settings.has_one_host and key:
        digest = broker_users.digest_of(broker_users.password_of(key))
        lines.append(broker_users.host_line(settings.hosts[0], digest))
    return lines


def write_config(settings: Settings) -> bool:
    """Writes the files, readable for root alone; says whether they differ from those that Redis was started with."""
    path, text = config_path(settings), config(settings)
    is_new = not path.exists() or path.read_text() != text
    if is_new:
        envfile.write_private(path, text)
    return _write_users(settings) or is_new


def _write_users(settings: Settings) -> bool:
    """Our own users as they are now, and those of enrolled hosts with the rules of now. Redis writes the file too, in
    words of its own, so that what we wrote last is kept beside it."""
    path, last = users_path(settings), settings.run_dir / "redis-users"
    own = own_users(settings)
    text = "\n".join([*own, broker_users.host_line("*", "*"), ""])
    if path.exists() and last.exists() and last.read_text() == text:
        return False
    names = {line.split()[1] for line in own}
    there = path.read_text().splitlines() if path.exists() else []
    others = [line for line in there if line.split()[:1] == ["user"] and line.split()[1] not in names]
    envfile.write_private(path, "\n".join([*own, *map(broker_users.with_rules_of_now, others), ""]))
    envfile.write_private(last, text)
    return True
