"""Waiting for the cloud: for its API, and for its compute hosts."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import requests

from cloud.embedded import supervisor
from cloud.embedded.progress import Step
from cloud.embedded.rest import Cloud
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble

API_SECONDS = 90.0
HOST_SECONDS = 120.0


def health(settings: Settings) -> tuple[bool, str]:
    """Whether `/healthcheck` answers 200, and what it said."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = settings.ca_file or True
            reply = session.get(settings.local_url + "/healthcheck", timeout=5)
    except requests.ConnectionError:
        return False, "nothing answers yet"
    except requests.RequestException as error:
        return False, str(error)
    return reply.status_code == 200, f"{reply.status_code} {' '.join(reply.text.split())[:200]}"


def for_api(settings: Settings, step: Step) -> None:
    """Returns when the API says that it is well."""
    log = supervisor.output_path(settings, "api")

    def is_well() -> str | None:
        well, said = health(settings)
        return None if well else said

    until(is_well, step, API_SECONDS, lambda said: Trouble(f"the API is not well: {said}", log=log))


def for_hosts(settings: Settings, cloud: Cloud, step: Step) -> None:
    """Returns when every compute host of this machine is up in the service list."""
    log = supervisor.output_path(settings, "compute")

    def are_up() -> str | None:
        missing = hosts_down(settings, cloud)
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        return f"waiting for the heartbeat of {', '.join(missing[:3])}{more}" if missing else None

    until(are_up, step, HOST_SECONDS, lambda said: Trouble(f"the compute host is not up: {said}", log=log))


def hosts_down(settings: Settings, cloud: Cloud) -> list[str]:
    """The compute hosts of this machine that are not up, or not heard of since their worker started."""
    services = cloud.get("/compute/v2.1/os-services")["services"]
    worker = supervisor.named(settings, "compute")
    since = datetime.fromtimestamp(worker.since, UTC).replace(tzinfo=None)
    up = {
        service["host"]
        for service in services
        if service["binary"] == "nova-compute"
        and service["state"] == "up"
        and datetime.fromisoformat(service["updated_at"]).replace(tzinfo=None) >= since
    }
    return [host for host in settings.hosts if host not in up or not worker.is_running]


def until(missing: Callable[[], str | None], step: Step, seconds: float, trouble: Callable[[str], Trouble]) -> None:
    """Returns when `missing` names nothing any more (None); raises `trouble` of what it says after `seconds`."""
    deadline = time.monotonic() + seconds
    while (said := missing()) is not None:
        if time.monotonic() > deadline:
            raise trouble(said)
        step.note(said)
        time.sleep(0.25)
    step.note("")
