"""Settings of one compute worker, from the environment and an `.env` file: no Django, no database, no master secret.

`KILONOVA_HOST_KEY` is this host's own key, made by `manage.py enroll_host`; `BROKER_URL` is its own Redis user.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import environ


@dataclass(frozen=True, kw_only=True)
class HostConfig:
    """One host of this worker. Times are in seconds."""

    name: str
    key: str
    broker_url: str
    state_dir: Path
    broker_ca_file: str | None = None  # by which a rediss:// broker is verified
    driver: str = "libvirt"
    libvirt_uri: str = "qemu:///system"
    virt_type: str = "auto"  # auto | kvm | qemu
    host_ip: str = "127.0.0.1"
    migration_uri: str = "qemu+tls://%s/system"  # another host's hypervisor; %s: its address or name
    migration_unsafe_ok: bool = False  # hosts share a directory of one local file system, which libvirt takes for two
    anti_spoofing: bool = False  # libvirt's filter clean-traffic; it made a guest's start 1.4 s longer
    heartbeat_interval: float = 10.0
    lease_renewal: float = 5.0
    step_threads: int = 8
    send_events: bool = True
    image_ca_file: str | None = None
    base_image_days: int = 7
    journal_days: int = 30
    log_dir: str | None = None
    debug: bool = False

    @property
    def instances_dir(self) -> Path:
        """Directories of instances; equal on all hosts, and shared between them where the operator mounts it so."""
        return self.state_dir / "instances"

    def uri_of(self, host: str) -> str:
        """Where the libvirt of another host is."""
        return self.migration_uri % host

    @property
    def base_dir(self) -> Path:
        """The cache of base images."""
        return self.state_dir / "base"

    @property
    def journal_dir(self) -> Path:
        """The journal: always on a local disk, outliving the instances (rule R3)."""
        return self.state_dir / "journal"


def from_environment() -> list[HostConfig]:
    """The hosts that this worker serves: one, or several (comma separated) with the simulated driver only.

    `KILONOVA_HOST` names them, `KILONOVA_HOST_KEY` holds their keys in the same order. With several, the state of each
    is in `<KILONOVA_STATE_DIR>/<host>`.
    """
    env = environ.Env()
    dotenv = os.environ.get("KILONOVA_ENV_FILE", ".env")
    if os.path.exists(dotenv):
        environ.Env.read_env(dotenv)
    names = env.list("KILONOVA_HOST", default=[socket.gethostname()])
    keys = env.list("KILONOVA_HOST_KEY")
    driver = env.str("KILONOVA_DRIVER", default="libvirt")
    if len(names) != len(keys):
        raise SystemExit(f"KILONOVA_HOST names {len(names)} hosts and KILONOVA_HOST_KEY {len(keys)} keys")
    if len(names) > 1 and driver != "simulated":
        raise SystemExit("KILONOVA_HOST: one worker serves several hosts with the simulated driver only")
    state_dir = Path(env.str("KILONOVA_STATE_DIR", default="/var/lib/kilonova"))
    return [
        HostConfig(
            name=name,
            key=key,
            broker_url=env.str("BROKER_URL"),
            broker_ca_file=env.str("BROKER_CA_FILE", default="") or None,
            state_dir=state_dir / name if len(names) > 1 else state_dir,
            driver=driver,
            libvirt_uri=env.str("LIBVIRT_URI", default="qemu:///system"),
            virt_type=env.str("VIRT_TYPE", default="auto"),
            host_ip=env.str("HOST_IP", default="127.0.0.1"),
            migration_uri=env.str("MIGRATION_URI", default="qemu+tls://%s/system"),
            migration_unsafe_ok=env.bool("MIGRATION_UNSAFE_OK", default=False),
            anti_spoofing=env.bool("ANTI_SPOOFING", default=False),
            heartbeat_interval=env.float("HEARTBEAT_INTERVAL", default=10.0),
            lease_renewal=env.float("LEASE_RENEWAL", default=5.0),
            step_threads=env.int("STEP_THREADS", default=8),
            send_events=env.bool("COMPUTE_EVENTS", default=True),
            image_ca_file=env.str("IMAGE_CA_FILE", default="") or None,
            base_image_days=env.int("BASE_IMAGE_DAYS", default=7),
            journal_days=env.int("JOURNAL_DAYS", default=30),
            log_dir=env.str("LOG_DIR", default="") or None,
            debug=env.bool("DEBUG_COMPUTE", default=False),
        )
        for name, key in zip(names, keys, strict=True)
    ]
