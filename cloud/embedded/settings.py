"""Which value each setting has: the environment, then `.env` in the checkout, then what the state directory remembers.

The state directory's `kilonova.env` has two parts: what is *kept* (secrets made once, and what the first two sources
said, so that later commands need only KILONOVA_STATE_DIR) and what is *derived* from it anew at each `up` (URLs,
further ports).
"""

from __future__ import annotations

import hmac
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cloud import broker_users
from cloud.embedded import envfile
from cloud.embedded.trouble import Trouble
from cloud.pki import authority

CHECKOUT = Path(__file__).resolve().parents[2]
DERIVED_MARK = "# --- derived from the above at each `up`; to set one, write it into .env or above this line ---"
SECRETS = ("SECRET_KEY", "HOST_KEYS_SECRET", "ADMIN_PASSWORD", "FLOWER_PASSWORD", "REDIS_PASSWORD")
PORTS = ("API_PORT", "FLOWER_PORT", "REDIS_PORT")
ROLES = ("api", "conductor", "beat", "compute", "flower")

# Names that are about this command, not about the cloud: never remembered.
UNKEPT = frozenset({"KILONOVA_ENV_FILE", "KILONOVA_PYTHON", "KILONOVA_SKIP_PACKAGES", "KILONOVA_RIG_DIR"})

# All that a compute worker may read (hypervisor/config.py). Neither the database nor a secret of the whole cloud.
COMPUTE_NAMES = (
    "KILONOVA_HOST",
    "KILONOVA_HOST_KEY",
    "KILONOVA_DRIVER",
    "KILONOVA_STATE_DIR",
    "BROKER_URL",
    "BROKER_CA_FILE",
    "LIBVIRT_URI",
    "VIRT_TYPE",
    "HOST_IP",
    "ANTI_SPOOFING",
    "MIGRATION_URI",
    "MIGRATION_UNSAFE_OK",
    "HEARTBEAT_INTERVAL",
    "LEASE_RENEWAL",
    "STEP_THREADS",
    "COMPUTE_EVENTS",
    "IMAGE_CA_FILE",
    "BASE_IMAGE_DAYS",
    "JOURNAL_DAYS",
    "LOG_DIR",
    "DEBUG_COMPUTE",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the one-machine deployment runs with. `kept` is remembered, `derived` follows from it."""

    state_dir: Path
    kept: Mapping[str, str]
    derived: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.kept[name] if name in self.kept else self.derived[name]

    def get(self, name: str, default: str = "") -> str:
        """The value, or the default when the setting has none."""
        return self.kept.get(name, self.derived.get(name, default))

    def port(self, name: str) -> int:
        """A port number."""
        return int(self[name])

    @property
    def roles(self) -> list[str]:
        """What this machine runs of the cloud, out of ROLES."""
        return [role.strip() for role in self["ROLES"].split(",") if role.strip()]

    @property
    def machine(self) -> str:
        """The name that this machine's other workers go by."""
        return self["KILONOVA_HOST"].split(",")[0].strip()

    @property
    def hosts(self) -> list[str]:
        """The compute hosts of this machine: one, several simulated ones, or none without the role `compute`."""
        names = [name.strip() for name in self["KILONOVA_HOST"].split(",")]
        return [name for name in names if name] if "compute" in self.roles else []

    @property
    def has_one_host(self) -> bool:
        """Whether the worker serves one host; only a simulation serves more, and it gets no Redis user of its own: the
        rules for a thousand queues would be read at each command."""
        return len(self.hosts) == 1

    @property
    def has_tls(self) -> bool:
        """Whether the API, Flower and the embedded Redis speak TLS (docs/decisions/0014)."""
        return _wants_tls({**self.derived, **self.kept})

    @property
    def tls_dir(self) -> Path:
        """Where the cloud's own certificate authority is, and what it signed for this machine."""
        return Path(self["TLS_DIR"])

    @property
    def ca_file(self) -> str:
        """By what the cloud's certificates are verified; empty without TLS."""
        return str(self.tls_dir / authority.CA_CERTIFICATE) if self.has_tls else ""

    @property
    def local_url(self) -> str:
        """The API as this machine reaches it, wherever it listens."""
        scheme = "https" if self.has_tls else "http"
        return f"{scheme}://{_reachable(self['API_HOST'])}:{self['API_PORT']}"

    @property
    def run_dir(self) -> Path:
        return self.state_dir / "run"

    @property
    def logs_dir(self) -> Path:
        return Path(self["LOG_DIR"])

    @property
    def env_file(self) -> Path:
        """Everything, secrets included: for the API, the conductors and beat."""
        return self.state_dir / "kilonova.env"

    @property
    def compute_env_file(self) -> Path:
        """What the compute worker may know."""
        return self.state_dir / "compute.env"

    def broker_url_of(self, host: str, key: str, *, is_here: bool = False) -> str:
        """The broker as the worker of that host, whose key is `key`, logs in to it; `is_here`: from this machine."""
        url = self["BROKER_URL"] if is_here else self["HOSTS_BROKER_URL"]
        if not broker_users.has_users(url):
            return url
        return broker_users.url_for(url, broker_users.user_of(host), broker_users.password_of(key))

    @property
    def broker_admin_url(self) -> str:
        """The login to the embedded Redis that may do all there: make users, empty it, configure it."""
        return broker_users.url_for(self["BROKER_URL"], "default", self["REDIS_PASSWORD"])

    @property
    def broker_password(self) -> str:
        """The password of the control plane's user of the embedded Redis."""
        return hmac.new(self["REDIS_PASSWORD"].encode(), b"control", "sha256").hexdigest()

    @property
    def has_embedded_broker(self) -> bool:
        """Whether the broker is the Redis that we run, and not one that BROKER_URL names elsewhere."""
        return "BROKER_URL" not in self.kept

    @property
    def uses_libvirt_here(self) -> bool:
        """Whether this machine's own system libvirtd serves this cloud."""
        return bool(self.hosts) and self["KILONOVA_DRIVER"] == "libvirt" and self["LIBVIRT_URI"] == "qemu:///system"


def load(environment: Mapping[str, str] = os.environ, *, checkout: Path = CHECKOUT) -> Settings:
    """The settings from all sources; nothing is written. Secrets that do not exist yet are made (see `remember`)."""
    known = envfile.documented_names(checkout / ".env.example")
    said = envfile.read(checkout / ".env")
    said.update({name: environment[name] for name in known if name in environment})
    return from_values(said)


def from_values(said: Mapping[str, str]) -> Settings:
    """The settings of a cloud that was told `said`, and what its state directory remembers; as `load` otherwise."""
    state_dir = Path(said.get("KILONOVA_STATE_DIR") or "/var/lib/kilonova")
    if not state_dir.is_absolute():
        raise Trouble(f"KILONOVA_STATE_DIR={state_dir}: give an absolute path")
    kept = {**_remembered(state_dir / "kilonova.env"), **said, "KILONOVA_STATE_DIR": str(state_dir)}
    kept = {name: value for name, value in kept.items() if value != "" and name not in UNKEPT}
    for name in SECRETS:
        kept.setdefault(name, secrets.token_urlsafe(18 if name.endswith("PASSWORD") else 48))
    settings = Settings(state_dir=state_dir, kept=kept, derived=_derive(kept))
    _check(settings)
    return settings


def remember(settings: Settings) -> None:
    """Writes `kilonova.env` and `compute.env` into the state directory, both for root alone."""
    text = "# Written by `./kilonova up`. Secrets: they are made once and kept.\n" + envfile.render(settings.kept)
    text += f"\n{DERIVED_MARK}\n" + envfile.render(settings.derived)
    envfile.write_private(settings.env_file, text)
    compute = {name: settings.get(name) for name in COMPUTE_NAMES if settings.get(name) and settings.hosts}
    if settings.has_embedded_broker and settings.has_one_host and settings.get("KILONOVA_HOST_KEY"):
        compute["BROKER_URL"] = settings.broker_url_of(settings.hosts[0], settings["KILONOVA_HOST_KEY"], is_here=True)
    head = "# Written by `./kilonova up`: all that the compute worker of this machine may know.\n"
    envfile.write_private(settings.compute_env_file, head + envfile.render(compute))


def _remembered(path: Path) -> dict[str, str]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Trouble(f"cannot read {path}: {error.strerror}") from error
    return envfile.parse(text.split(DERIVED_MARK)[0].splitlines())


def _derive(kept: Mapping[str, str]) -> dict[str, str]:
    """The settings that nobody gave, in an order that reads well."""
    state_dir = kept["KILONOVA_STATE_DIR"]
    values: dict[str, str] = dict(kept)

    def default(name: str, value: str) -> None:
        values.setdefault(name, value)

    default("API_HOST", "127.0.0.1")
    default("API_PORT", "8774")
    base = _port_number("API_PORT", values["API_PORT"])
    default("FLOWER_ADDRESS", values["API_HOST"])
    default("FLOWER_PORT", str(base + 1))
    default("REDIS_HOST", "127.0.0.1")
    default("REDIS_PORT", str(base + 2))
    default("TLS", "auto")
    default("TLS_DIR", f"{state_dir}/tls")
    has_tls = _wants_tls(values)
    http, rediss = ("https", "rediss") if has_tls else ("http", "redis")
    default("PUBLIC_URL", f"{http}://{_reachable(values['API_HOST'])}:{base}")
    default("FLOWER_URL", f"{http}://{_reachable(values['FLOWER_ADDRESS'])}:{values['FLOWER_PORT']}")
    if "BROKER_URL" not in kept:
        password = Settings(state_dir=Path(state_dir), kept=kept, derived={}).broker_password
        login = f"{rediss}://{broker_users.CONTROL_USER}:{password}"
        default("BROKER_URL", f"{login}@{_reachable(values['REDIS_HOST'])}:{values['REDIS_PORT']}/0")
        default("HOSTS_BROKER_URL", f"{login}@{_from_elsewhere(values)}:{values['REDIS_PORT']}/0")
    default("HOSTS_BROKER_URL", values["BROKER_URL"])
    if has_tls:
        ca_file = f"{values['TLS_DIR']}/{authority.CA_CERTIFICATE}"
        default("IMAGE_CA_FILE", ca_file)
        if "BROKER_URL" not in kept:
            default("BROKER_CA_FILE", ca_file)
    default("DATABASE_URL", f"sqlite:///{state_dir}/kilonova.db")
    default("IMAGES_DIR", f"{state_dir}/images")
    default("STATIC_ROOT", f"{state_dir}/static")
    default("LOG_DIR", f"{state_dir}/logs")
    default("KILONOVA_HOST", socket.gethostname())
    default("KILONOVA_DRIVER", "libvirt")
    default("LIBVIRT_URI", "qemu:///system")
    default("VIRT_TYPE", "auto")
    default("STEP_THREADS", "8")
    default("CONDUCTOR_PROCESSES", "2")
    default("SHARED_CIDR", "auto")
    default("ROLES", ",".join(ROLES))
    return {name: value for name, value in values.items() if name not in kept}


def _check(settings: Settings) -> None:
    seen: dict[int, str] = {}
    for name in PORTS:
        number = _port_number(name, settings[name])
        if number in seen:
            raise Trouble(f"{name}={number} is also {seen[number]}: each needs a port of its own")
        seen[number] = name
    if settings["VIRT_TYPE"] not in {"auto", "kvm", "qemu"}:
        raise Trouble(f"VIRT_TYPE={settings['VIRT_TYPE']}: say auto, kvm or qemu")
    if settings["KILONOVA_DRIVER"] not in {"libvirt", "simulated"}:
        raise Trouble(f"KILONOVA_DRIVER={settings['KILONOVA_DRIVER']}: say libvirt or simulated")
    for role in settings.roles:
        if role not in ROLES:
            raise Trouble(f"ROLES={settings['ROLES']}: there is no role {role!r}; there are {' '.join(ROLES)}")
    if settings["TLS"] not in {"auto", "on", "off"}:
        raise Trouble(f"TLS={settings['TLS']}: say auto, on or off")
    public = urlsplit(settings["PUBLIC_URL"])
    if settings.has_tls and public.scheme == "http" and public.port == settings.port("API_PORT"):
        raise Trouble(f"PUBLIC_URL={settings['PUBLIC_URL']}: the API speaks TLS there; say https://, or TLS=off")
    for name in ("STEP_THREADS", "CONDUCTOR_PROCESSES"):
        if not settings[name].isdigit() or int(settings[name]) < 1:
            raise Trouble(f"{name}={settings[name]}: give a whole number, 1 or more")
    if len(str(settings.run_dir / "supervisor.sock")) > 100:
        raise Trouble(f"KILONOVA_STATE_DIR={settings.state_dir} is too long: a socket's path ends at 108 characters")


def _port_number(name: str, text: str) -> int:
    # API_PORT leaves room for the two that follow it by default.
    if not text.isdigit() or not 1 <= int(text) <= 65533:
        raise Trouble(f"{name}={text}: give a port number from 1 to 65533")
    return int(text)


def _wants_tls(values: Mapping[str, str]) -> bool:
    """TLS=auto is on as soon as anything of this machine listens on, or is reached by, an address of a network."""
    said = values.get("TLS", "auto")
    addresses = (values.get(name, "") for name in ("API_HOST", "FLOWER_ADDRESS", "REDIS_HOST", "HOST_IP"))
    return said == "on" or (said == "auto" and any(a and not is_loopback(a) for a in addresses))


def is_loopback(address: str) -> bool:
    """Whether no other machine reaches that address."""
    return address in {"localhost", "::1"} or address.startswith("127.")


def _from_elsewhere(values: Mapping[str, str]) -> str:
    """The address of the embedded Redis for other machines, as far as it is known."""
    if values["REDIS_HOST"] not in {"0.0.0.0", "::"}:
        return _reachable(values["REDIS_HOST"])
    host_ip = values.get("HOST_IP", "")
    if host_ip and not is_loopback(host_ip):
        return _reachable(host_ip)
    return _reachable(urlsplit(values["PUBLIC_URL"]).hostname or "127.0.0.1")


def _reachable(address: str) -> str:
    """An address to connect to for one to listen at."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, f"[{address}]" if ":" in address else address)
