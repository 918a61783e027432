"""A host under test: its driver, and how a test looks and reaches behind the driver's back."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Protocol

from lxml import etree

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

    def disks_of_guest(self, instance_id: str) -> list[str]:
        """Names of the files that are the guest's disks, vda first."""

    def dhcp(self, network: NetworkSpec) -> set[tuple[str, str]] | None:
        """(MAC, address) pairs that DHCP answers; None when the network is not there."""

    def write(self, path: Path, number: int) -> None:
        """Writes `number` (1 to 255) at the beginning of the disk at `path`."""

    def written(self, path: Path) -> int:
        """What `write` wrote there; 0 before that."""

    def stop_guest(self, instance_id: str) -> None:
        """The guest powers itself off."""

    def crash_guest(self, instance_id: str) -> None:
        """The guest's hypervisor dies. Returns when that was noticed."""

    def deafen(self, instance_id: str) -> None:
        """The guest goes deaf to ACPI, if it is not."""

    def add_stranger(self) -> str:
        """Puts something beside our guests that is not ours; the id that it would be listed by."""

    def clean(self) -> None:
        """Removes what tests left."""


def load_host(name: str, state_dir: Path, **changed: Any) -> Host:
    """A host with that driver."""
    config = HostConfig(name="contract-host", key="key", broker_url="", state_dir=state_dir, driver=name, **changed)
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

    def disks_of_guest(self, instance_id: str) -> list[str]:
        note = side_files.read(self.config.state_dir / "simulated" / "domains" / f"{instance_id}.json") or {}
        return list(note["disks"])

    def dhcp(self, network: NetworkSpec) -> set[tuple[str, str]] | None:
        records = PortRecords(self.config.state_dir / "simulated" / "networks")
        if records.is_empty(network.id):
            return None
        return {(record.mac, record.ip) for record in records.of_network(network.id)}

    def write(self, path: Path, number: int) -> None:
        side_files.write(path, {**(side_files.read(path) or {}), "number": number})

    def written(self, path: Path) -> int:
        return int((side_files.read(path) or {}).get("number", 0))

    def stop_guest(self, instance_id: str) -> None:
        self.driver.lifecycle.set_power_state(instance_id, 4, "stopped")  # type: ignore[attr-defined]

    def crash_guest(self, instance_id: str) -> None:
        self.driver.lifecycle.set_power_state(instance_id, 6, "crashed")  # type: ignore[attr-defined]

    def deafen(self, instance_id: str) -> None:
        self.driver.lifecycle.set_power_state(instance_id, 1, "resumed", is_deaf=True)  # type: ignore[attr-defined]

    def add_stranger(self) -> str:
        (self.config.state_dir / "simulated" / "domains" / "notes.txt").write_text("not a guest")
        return "notes"

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

    def disks_of_guest(self, instance_id: str) -> list[str]:
        disks = etree.fromstring(self.domain(instance_id).XMLDesc()).findall("devices/disk[@device='disk']")
        assert [disk.find("target").get("dev") for disk in disks] == ["vda", "vdb"][: len(disks)]
        return [Path(disk.find("source").get("file")).name for disk in disks]

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

    def write(self, path: Path, number: int) -> None:
        command = ["qemu-io", "-f", "qcow2", "-c", f"write -P {number} 0 64k", str(path)]
        subprocess.run(command, check=True, capture_output=True)

    def written(self, path: Path) -> int:
        command = ["qemu-io", "-f", "qcow2", "-c", "read -v 0 16", str(path)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return int(said.split()[1], 16)

    def stop_guest(self, instance_id: str) -> None:
        self.domain(instance_id).destroy()

    def crash_guest(self, instance_id: str) -> None:
        domain = self.domain(instance_id)
        # libvirt writes it for itself; it is the emulator's process, and no other's.
        pid = int(Path(f"/run/libvirt/qemu/{domain.name()}.pid").read_text())
        assert instance_id.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        os.kill(pid, signal.SIGKILL)
        deadline, pause = time.monotonic() + 30, threading.Event()
        while domain.isActive():
            assert time.monotonic() < deadline, "libvirt did not notice that QEMU died"
            pause.wait(0.05)

    def deafen(self, instance_id: str) -> None:
        """What these tests boot is a disk of zeroes: firmware hears no ACPI."""

    def add_stranger(self) -> str:
        xml = (
            "<domain type='qemu'><name>contract-stranger</name><memory>65536</memory><os><type>hvm</type></os></domain>"
        )
        stranger = self.connection.defineXML(xml)
        self._strangers.append(stranger)
        return str(stranger.UUIDString())

    def clean(self) -> None:
        for stranger in self._strangers:
            stranger.undefine()
        for domain in self.connection.listAllDomains():
            if domain.name().startswith("contract-"):
                self.driver.lifecycle.remove(domain.UUIDString(), None)
        for lock in (self.config.state_dir / "networks").glob("*.lock"):
            with contextlib.suppress(self.libvirt.libvirtError):
                found = self.connection.networkLookupByUUIDString(lock.stem)
                if found.isActive():
                    found.destroy()
                found.undefine()
        self.connection.close()
        self.driver.close()
        shutil.rmtree(self.config.state_dir, ignore_errors=True)
