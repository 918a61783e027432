"""`./kilonova enroll NAME`: `manage.py enroll_host` with this cloud's settings, and what is still missing."""

from __future__ import annotations

from collections.abc import Sequence

from cloud.embedded import database, envfile, fingerprint
from cloud.embedded.progress import Console
from cloud.embedded.settings import Settings, is_loopback
from cloud.embedded.trouble import Trouble


def admit(settings: Settings, hosts: Sequence[str]) -> list[dict[str, str]]:
    """Makes compute hosts on other machines known, to the broker too; gives the settings that are each one's own.
    Again is safe."""
    keys = keys_of(settings, hosts)
    return [
        {"KILONOVA_HOST": host, "KILONOVA_HOST_KEY": key, "BROKER_URL": settings.broker_url_of(host, key)}
        for host, key in zip(hosts, keys, strict=True)
    ]


def keys_of(settings: Settings, hosts: Sequence[str], *options: str) -> list[str]:
    """Enrols hosts without writing files for them; gives their keys."""
    said = database.run(settings, "enroll_host", *hosts, "--settings-file", "-", *options)
    keys = envfile.parse(said.splitlines()).get("KILONOVA_HOST_KEY", "").split(",")
    if len(keys) != len(hosts) or not all(keys):
        raise Trouble(f"manage.py enroll_host {' '.join(hosts)} printed no KILONOVA_HOST_KEY", details=said)
    return keys


def enroll(settings: Settings, host: str, options: Sequence[str], console: Console) -> None:
    """Enrols a compute host, prints its settings and where its files are, and says what is still missing."""
    console.line(database.run(settings, "enroll_host", host, *options).rstrip())
    if host in settings.hosts:
        fingerprint.forget(settings)
        console.line(f"# {host} is this machine: run `./kilonova up`, which gives its workers these settings.")
        return
    for name in ("REDIS_HOST", "API_HOST"):
        if is_loopback(settings[name]):
            console.line(
                f"# {name} is {settings[name]}: no other machine reaches it. Set it in .env here, `up`, enrol again."
            )
