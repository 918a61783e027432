"""What a rig consists of, and where everything of it is. Kept in `<rig>/rig.json`, which also says that it is a rig.

<rig>/cloud            the control plane's state directory: clouds.yaml, database, images, logs
<rig>/state            empty; where each host sees its own state directory, so that its path is equal on all hosts
<rig>/shared/instances the instances directory of every host on shared storage
<rig>/hosts/h1         one host's disk: state/ (its state directory), libvirt/, logs/, run/, compute.env
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network
from pathlib import Path

from cloud.embedded import envfile, ports, subnets
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble

DEFAULT_ROOT = "/var/lib/kilonova-rig"
MOST_HOSTS = 100
FIRST_ADDRESS = 10  # h1 is .11; the control plane is .1
LONGEST_ROOT = 60  # sockets under it: their paths end at 108 characters


class Storage(StrEnum):
    """Where instances are kept. MIXED: on shared storage on h1 and h2, on a disk of its own on every other host."""

    SHARED = "shared"
    LOCAL = "local"
    MIXED = "mixed"


@dataclass(frozen=True, kw_only=True)
class RigHost:
    """One compute host: its name, its address on the fabric, and its directories as this machine sees them."""

    rig: Path
    prefix: str
    number: int
    address: str
    is_shared: bool

    @property
    def name(self) -> str:
        return f"h{self.number}"

    @property
    def namespace(self) -> str:
        """Its network namespace, for `ip netns`."""
        return f"{self.prefix}-{self.name}"

    @property
    def uuid(self) -> str:
        """libvirt's `host_uuid`: two hosts with equal ones refuse to migrate between each other."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"kilonova-rig:{self.rig}:{self.name}"))

    @property
    def directory(self) -> Path:
        """Its disk: what outlives a power loss."""
        return self.rig / "hosts" / self.name

    @property
    def state(self) -> Path:
        """Its state directory, which it sees at `Rig.state_path`."""
        return self.directory / "state"

    @property
    def instances(self) -> Path:
        """The directory of its instances."""
        return self.rig / "shared" / "instances" if self.is_shared else self.state / "instances"

    @property
    def libvirt(self) -> Path:
        """What it has at /run/libvirt, /var/lib/libvirt, /etc/libvirt …, as run, lib, etc, log and cache."""
        return self.directory / "libvirt"

    @property
    def uri(self) -> str:
        """Its libvirt, from outside."""
        return f"qemu+unix:///system?socket={self.libvirt}/run/libvirt-sock"

    @property
    def settings(self) -> Settings:
        """What `supervisor` and `programs` want to know of it."""
        own = {
            "KILONOVA_HOST": self.name,
            "KILONOVA_STATE_DIR": str(self.directory),
            "LOG_DIR": str(self.directory / "logs"),
            "ROLES": "compute",
        }
        said = envfile.read(self.directory / "compute.env")
        return Settings(state_dir=self.directory, kept={"STEP_THREADS": "4", **said, **own}, derived={})


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A rig: its directory, its fabric and its hosts."""

    root: Path
    subnet: IPv4Network
    api_port: int
    storage: Storage
    size: int

    @property
    def prefix(self) -> str:
        """Begins the name of each namespace and link of this rig: unique on the machine, as the subnet is."""
        return f"kr{int(self.subnet.network_address) >> 8 & 0xFFFF}"

    @property
    def address(self) -> str:
        """The control plane's address on the fabric."""
        return str(self.subnet.network_address + 1)

    @property
    def cloud_dir(self) -> Path:
        """The control plane's state directory."""
        return self.root / "cloud"

    @property
    def state_path(self) -> Path:
        """Where each host sees its own state directory."""
        return self.root / "state"

    @property
    def hosts(self) -> list[RigHost]:
        """In the order of their numbers."""
        return [self._host(number) for number in range(1, self.size + 1)]

    def host(self, name: str) -> RigHost:
        """The host of that name; an unknown one is refused with the names that there are."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise Trouble(f"there is no host {name!r} in this rig; there are: {' '.join(host.name for host in self.hosts)}")

    def _host(self, number: int) -> RigHost:
        is_shared = self.storage is Storage.SHARED or (self.storage is Storage.MIXED and number <= 2)
        address = str(self.subnet.network_address + FIRST_ADDRESS + number)
        return RigHost(rig=self.root, prefix=self.prefix, number=number, address=address, is_shared=is_shared)


def root_of(environment: Mapping[str, str] = os.environ) -> Path:
    """The rig's directory: KILONOVA_RIG_DIR, or the default."""
    root = Path(environment.get("KILONOVA_RIG_DIR") or DEFAULT_ROOT)
    if not root.is_absolute() or len(str(root)) > LONGEST_ROOT:
        raise Trouble(f"KILONOVA_RIG_DIR={root}: give an absolute path of at most {LONGEST_ROOT} characters")
    return root


def load(root: Path) -> Rig | None:
    """The rig in that directory; None when there is none."""
    try:
        kept = json.loads((root / "rig.json").read_text())
    except FileNotFoundError:
        return None
    return Rig(
        root=root,
        subnet=IPv4Network(kept["subnet"]),
        api_port=kept["api_port"],
        storage=Storage(kept["storage"]),
        size=kept["size"],
    )


def require(root: Path) -> Rig:
    """The rig in that directory; raises when there is none."""
    rig = load(root)
    if rig is None:
        raise Trouble(f"there is no rig in {root} (KILONOVA_RIG_DIR): run `./kilonova rig up 3` first")
    return rig


def make(root: Path, size: int, storage: Storage) -> Rig:
    """A new rig with a subnet and ports that nobody on this machine has, or the one that is there, if it is alike."""
    if not 1 <= size <= MOST_HOSTS:
        raise Trouble(f"{size} hosts: give a number from 1 to {MOST_HOSTS}")
    there = load(root)
    if there is not None:
        if (there.size, there.storage) != (size, storage):
            raise Trouble(
                f"{root} has a rig of {there.size} hosts with {there.storage} storage already: "
                "`./kilonova rig down` removes it; KILONOVA_RIG_DIR names another place for a second one"
            )
        subnets.keep(root, there.subnet)
        return there
    if root.exists() and any(root.iterdir()):
        raise Trouble(f"{root} (KILONOVA_RIG_DIR) has files in it that are no rig's: name an empty directory")
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o711)
    subnet = subnets.take(root)
    rig = Rig(root=root, subnet=subnet, api_port=_free_ports(subnet), storage=storage, size=size)
    kept = {"subnet": str(subnet), "api_port": rig.api_port, "storage": storage.value, "size": size}
    envfile.write_private(root / "rig.json", json.dumps(kept, indent=2) + "\n")
    return rig


def _free_ports(subnet: IPv4Network) -> int:
    """The first of three ports that nobody listens at; begun at a place of the subnet's own, so that rigs that come up
    at once do not meet. Loopback is asked: Redis listens there, too."""
    base = 21000 + 10 * (int(subnet.network_address) >> 8 & 0x3FF)
    for port in range(base, base + 5000, 10):
        if all(ports.is_free("0.0.0.0", port + more) for more in range(3)):
            return port
    raise Trouble(f"no three free ports from {base} on")
