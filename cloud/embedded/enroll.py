"""`./kilonova enroll NAME`: makes a compute host on another machine known, and prints the settings that are its own."""

from __future__ import annotations

from cloud.embedded import broker_users, database, envfile, redis
from cloud.embedded.progress import Console
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble


def enroll(settings: Settings, host: str, console: Console) -> None:
    """Prints the `.env` of that host: its name, its key, and a Redis user that can read its own queues alone."""
    said = database.run(settings, "enroll_host", host)
    key = envfile.parse(said.splitlines()).get("KILONOVA_HOST_KEY", "")
    if not key:
        raise Trouble(f"manage.py enroll_host {host} printed no KILONOVA_HOST_KEY", details=said)
    broker = settings["BROKER_URL"]
    if settings.has_embedded_broker:
        broker_users.add(settings, host)
        redis.write_config(settings)
        broker = settings.broker_url_of(host)
    console.line(f"# The .env of the compute host {host}: for root alone. HOST_IP is its own address; set it.")
    console.line(f"KILONOVA_HOST={host}\nKILONOVA_HOST_KEY={key}\nBROKER_URL={broker}")
    console.line("KILONOVA_STATE_DIR=/var/lib/kilonova\n# HOST_IP=")
    for name in ("REDIS_HOST", "API_HOST"):
        if settings[name].startswith("127.") or settings[name] in {"localhost", "::1"}:
            console.line(
                f"# {name} is {settings[name]}: no other machine reaches it. Set it in .env here, `up`, enrol again."
            )
