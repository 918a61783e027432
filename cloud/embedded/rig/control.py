"""The control plane of a rig: an ordinary cloud of the embedded deployment, without a compute worker of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cloud.embedded import enroll, envfile, fingerprint, leftovers, supervisor, waiting
from cloud.embedded import settings as settings_
from cloud.embedded.programs import CLOUD
from cloud.embedded.progress import Step
from cloud.embedded.rest import Cloud
from cloud.embedded.rig import hosts
from cloud.embedded.rig.plan import Rig, RigHost
from cloud.embedded.seed import Flavor
from cloud.embedded.settings import CHECKOUT, COMPUTE_NAMES, Settings
from cloud.embedded.trouble import Trouble

# The second is larger in everything, so that a resize shows; both small enough for a dozen guests on a laptop.
FLAVORS = (
    Flavor(name="m1.nano", ram=128, vcpus=1, disk=1),
    Flavor(name="m1.micro", ram=192, vcpus=2, disk=2),
)
HOST_SECONDS = 120.0

# What a host's death is noticed by is short here: who tries it does not want to wait a minute.
QUICK = {"HEARTBEAT_INTERVAL": "2", "DOWN_AFTER": "15", "API_WORKERS": "1", "STEP_THREADS": "4"}
# What the rig says itself, whatever the environment says.
OWN = ("HOST", "HOST_KEY", "STATE_DIR", "DRIVER", "RIG_DIR")


def settings(rig: Rig, *, with_flower: bool = False, environment: Mapping[str, str] = os.environ) -> Settings:
    """The control plane's settings: the rig's own, then the environment's, then what was said at the first `up`."""
    known = envfile.documented_names(CHECKOUT / ".env.example") - {f"KILONOVA_{name}" for name in OWN}
    said = {name: environment[name] for name in known if name in environment}
    own = {
        "KILONOVA_STATE_DIR": str(rig.cloud_dir),
        "KILONOVA_HOST": "controller",
        "API_HOST": rig.address,
        "API_PORT": str(rig.api_port),
        "REDIS_HOST": rig.address,
        "TLS": "off",  # all of it is on this machine, and its hosts' libvirts have no certificates
    }
    remembered = envfile.read(rig.cloud_dir / "kilonova.env")
    roles = "api,conductor,beat,flower" if with_flower else "api,conductor,beat"
    quick = {name: value for name, value in {**QUICK, "ROLES": roles}.items() if name not in remembered}
    if with_flower:
        quick["ROLES"] = roles
    return settings_.from_values({**quick, **said, **own})


def enrol(rig: Rig, settings: Settings) -> list[dict[str, str]]:
    """Makes the rig's hosts known to the cloud; gives the settings of each one's workers."""
    passed_on = {name: settings.get(name) for name in COMPUTE_NAMES if settings.get(name)}
    rest = {
        "KILONOVA_STATE_DIR": str(rig.state_path),
        "KILONOVA_DRIVER": "libvirt",
        "LIBVIRT_URI": "qemu:///system",
        # The shared directory is on a local file system: libvirt would call a live migration over it unsafe.
        "MIGRATION_UNSAFE_OK": "true",
        "MIGRATION_URI": "qemu+tcp://%s/system",
    }
    admitted = enroll.admit(settings, [host.name for host in rig.hosts])
    return [
        {**passed_on, **rest, **own, "HOST_IP": host.address, "LOG_DIR": str(host.directory / "logs")}
        for host, own in zip(rig.hosts, admitted, strict=True)
    ]


def refresh(settings: Settings, host: RigHost) -> bool:
    """Restarts the host's workers when code or settings changed since they were started; says whether it did."""
    current = fingerprint.current(settings) + host.settings.compute_env_file.read_text()
    stamp = host.directory / "started-from"
    is_old = not stamp.is_file() or stamp.read_text() != current
    envfile.write_private(stamp, current)
    if is_old and hosts.init_pid(host) and supervisor.is_up(host.settings):
        supervisor.stop_group(host.settings, CLOUD)
        supervisor.start_group(host.settings, CLOUD)
        return True
    return False


def wait_for_hosts(cloud: Cloud, wanted: Sequence[RigHost], step: Step) -> None:
    """Returns when each of them is up in the service list, by a heartbeat of the worker that runs now."""
    waiting.until(
        lambda: f"waiting for the heartbeat of {', '.join(missing)}" if (missing := _not_up(cloud, wanted)) else None,
        step,
        HOST_SECONDS,
        lambda said: Trouble(f"not every host is up: {said}", log=wanted[0].directory / "logs" / "compute.out.log"),
    )


def _not_up(cloud: Cloud, wanted: Sequence[RigHost]) -> list[str]:
    heard = {
        service["host"]: datetime.fromisoformat(service["updated_at"]).replace(tzinfo=UTC).timestamp()
        for service in cloud.get("/compute/v2.1/os-services")["services"]
        if service["binary"] == "nova-compute" and service["state"] == "up"
    }
    missing = []
    for host in wanted:
        workers = [process for process in supervisor.processes(host.settings) if process.name == "compute"]
        if not any(worker.is_running and heard.get(host.name, 0) >= worker.since for worker in workers):
            missing.append(host.name)
    return missing


def stop(settings: Settings) -> None:
    """Stops every process of the control plane, supervised or not."""
    if supervisor.is_up(settings):
        supervisor.stop(settings)
    leftovers.end(settings)
