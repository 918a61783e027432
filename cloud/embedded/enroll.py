"""`./kilonova enroll NAME`: makes a compute host on another machine known, and prints the settings that are its own."""

from __future__ import annotations

from collections.abc import Sequence

from cloud.embedded import broker_users, database, envfile, redis
from cloud.embedded.progress import Console
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble


def admit(settings: Settings, hosts: Sequence[str]) -> list[dict[str, str]]:
    """Makes compute hosts on other machines known; gives the settings that are each one's own. Again is safe."""
    said = database.run(settings, "enroll_host", *hosts)
    keys = envfile.parse(said.splitlines()).get("KILONOVA_HOST_KEY", "").split(",")
    if len(keys) != len(hosts) or not all(keys):
        raise Trouble(f"manage.py enroll_host {' '.join(hosts)} printed no KILONOVA_HOST_KEY", details=said)
    own = [{"KILONOVA_HOST": host, "KILONOVA_HOST_KEY": key} for host, key in zip(hosts, keys, strict=True)]
    for values in own:
        host = values["KILONOVA_HOST"]
        if settings.has_embedded_broker:
            broker_users.add(settings, host)
        values["BROKER_URL"] = settings.broker_url_of(host) if settings.has_embedded_broker else settings["BROKER_URL"]
    if settings.has_embedded_broker:
        redis.write_config(settings)
    return own


def enroll(settings: Settings, host: str, console: Console) -> None:
    """Prints the `.env` of that host: its name, its key, and a Redis user that can read its own queues alone."""
    (own,) = admit(settings, [host])
    console.line(f"# The .env of the compute host {host}: for root alone. HOST_IP is its own address; set it.")
    console.line(envfile.render(own).rstrip())
    console.line("KILONOVA_STATE_DIR=/var/lib/kilonova\n# HOST_IP=")
    for name in ("REDIS_HOST", "API_HOST"):
        if settings[name].startswith("127.") or settings[name] in {"localhost", "::1"}:
            console.line(
                f"# {name} is {settings[name]}: no other machine reaches it. Set it in .env here, `up`, enrol again."
            )
