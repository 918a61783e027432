"""A host under test: its driver, and how a test looks and reaches behind the driver's back."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Protocol

from hypervisor import config_drive, side_files
from hypervisor.config import HostConfig
from hypervisor.driver import Driver
from hypervisor.drivers import load
from hypervisor.port_records import PortRecords
from hypervisor.spec import NetworkSpec


class Host(Protocol):
    """One host, the same for tests whatever the driver."""

    config: HostConfig
    driver: Driver

    def disk(self, instance_id: str) -> dict[str, Any]:
        """`size_bytes` and `backing` of the system disk."""

    def config_drive_file(self, instance_id: str, name: str) -> bytes:
        """A file of the config drive, under `openstack/latest`."""

    def dhcp(self, network: NetworkSpec) -> set[tuple[str, str]] | None:
        """(MAC, address) pairs that DHCP answers; None when the network is not there."""

    def stop_guest(self, instance_id: str) -> None:
        """The guest powers itself off."""

    def add_stranger(self) -> None:
        """Puts something beside our guests that is not ours."""

    def clean(self) -> None:
        """Removes what tests left."""


def load_host(name: str, state_dir: Path) -> Host:
    """A host with that driver."""
    config = HostConfig(name="contract-host", key="key", broker_url="", state_dir=state_dir, driver=name)
    return LibvirtHost(config) if name == "libvirt" else SimulatedHost(config)


class SimulatedHost:
    """Reads the simulated driver's files."""

    def __init__(self, config: HostConfig) -> None:
        self.config = config
        self.driver = load(config)

    def disk(self, instance_id: str) -> dict[str, Any]:
        return side_files.read(self.config.instances_dir / instance_id / "disk") or {}

    def config_drive_file(self, instance_id: str, name: str) -> bytes:
        content = (side_files.read(self.config.instances_dir / instance_id / "disk.config") or {})[name]
        return content.encode() if isinstance(content, str) else json.dumps(content).encode()

    def dhcp(self, network: NetworkSpec) -> set[tuple[str, str]] | None:
        records = PortRecords(self.config.state_dir / "simulated" / "networks")
        if records.is_empty(network.id):
            return None
        return {(record.mac, record.ip) for record in records.of_network(network.id)}

    def stop_guest(self, instance_id: str) -> None:
        self.driver.lifecycle.set_power_state(instance_id, 4, "stopped")  # type: ignore[attr-defined]

    def add_stranger(self) -> None:
        (self.config.state_dir / "simulated" / "domains" / "notes.txt").write_text("not a guest")

    def clean(self) -> None:
        self.driver.close()


class LibvirtHost:
    """Asks libvirt and QEMU's tools themselves."""

    def __init__(self, config: HostConfig) -> None:
        import libvirt

        self.config = config
        self.driver = load(config)
        self.libvirt = libvirt
        self.connection = libvirt.open(config.libvirt_uri)
        self._strangers: list[Any] = []

    def disk(self, instance_id: str) -> dict[str, Any]:
        path = self.config.instances_dir / instance_id / "disk"
        told = subprocess.run(
            ["qemu-img", "info", "-U", "--output=json", str(path)], check=True, capture_output=True, text=True
        )
        info = json.loads(told.stdout)
        return {
            "size_bytes": info["virtual-size"],
            "backing": info.get("backing-filename"),
            "format": info["format"],
            "backing_format": info.get("backing-filename-format"),
        }

    def config_drive_file(self, instance_id: str, name: str) -> bytes:
        return config_drive.read(self.config.instances_dir / instance_id / "disk.config", f"openstack/latest/{name}")

    def network(self, network: NetworkSpec) -> Any:
        """libvirt's network; None when there is none."""
        with contextlib.suppress(self.libvirt.libvirtError):
            return self.connection.networkLookupByUUIDString(network.id)
        return None

    def dhcp(self, network: NetworkSpec) -> set[tuple[str, str]] | None:
        from hypervisor.libvirt.xml.reading import dhcp_entries

        found = self.network(network)
        if found is None or not found.isActive():
            return None
        live, kept = dhcp_entries(found.XMLDesc()), dhcp_entries(found.XMLDesc(1))
        assert sorted(live) == sorted(kept), "the running network and its definition differ"
        assert len(set(live)) == len(live), "an entry is there twice"
        told = Path(f"/var/lib/libvirt/dnsmasq/{network.bridge}.hostsfile").read_text().split()
        assert {tuple(line.split(",")) for line in told} == set(live), "dnsmasq was told something else"
        return set(live)

    def domain(self, instance_id: str) -> Any:
        """libvirt's domain."""
        return self.connection.lookupByUUIDString(instance_id)

    def stop_guest(self, instance_id: str) -> None:
        self.domain(instance_id).destroy()

    def add_stranger(self) -> None:
        xml = (
            "<domain type='qemu'><name>contract-stranger</name><memory>65536</memory><os><type>hvm</type></os></domain>"
        )
        self._strangers.append(self.connection.defineXML(xml))

    def clean(self) -> None:
        for domain in self.connection.listAllDomains():
            if domain in self._strangers or domain.name().startswith("contract-"):
                with contextlib.suppress(self.libvirt.libvirtError):
                    domain.destroy()
                domain.undefine()
        for lock in (self.config.state_dir / "networks").glob("*.lock"):
            with contextlib.suppress(self.libvirt.libvirtError):
                found = self.connection.networkLookupByUUIDString(lock.stem)
                if found.isActive():
                    found.destroy()
                found.undefine()
        self.connection.close()
        self.driver.close()
        shutil.rmtree(self.config.state_dir, ignore_errors=True)
