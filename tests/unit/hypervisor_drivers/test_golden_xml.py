"""Definitions as they go to libvirt, byte for byte. `REGENERATE_GOLDEN=1` writes them anew: read the diff."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from hypervisor.libvirt.xml.domain import domain
from hypervisor.libvirt.xml.network import network
from hypervisor.libvirt.xml.traits import GuestPaths, HostTraits
from hypervisor.spec import ConfigDrive, GuestSpec, ImageSource, Maker, NetworkSpec, NicSpec

GOLDEN = Path(__file__).parents[2] / "golden"

INSTANCE_ID = "7c8e2c3e-1b0a-4a53-9a58-000000000001"
NAT = NetworkSpec(
    id="0d5bd0aa-1111-4222-8333-444444444444",
    name="shared",
    bridge="kn-0d5bd0aa1111",
    mode="nat",
    cidr="10.0.0.0/24",
    gateway_ip="10.0.0.1",
    mtu=1450,
    dns=("192.0.2.53", "192.0.2.54"),
)
ISOLATED = NetworkSpec(
    id="0d5bd0aa-2222-4222-8333-444444444444",
    name="backend",
    bridge="kn-0d5bd0aa2222",
    mode="isolated",
    cidr="172.16.0.0/20",
    gateway_ip="172.16.0.1",
    mtu=1500,
)
NICS = (
    NicSpec(
        port_id="aa11bb22-cc33-4d44-8e55-ff6677889900", mac="FA:16:3E:00:00:05", ip="10.0.0.5", prefix=24, network=NAT
    ),
    NicSpec(
        port_id="bb11bb22-cc33-4d44-8e55-ff6677889900",
        mac="fa:16:3e:00:00:06",
        ip="172.16.0.6",
        prefix=20,
        network=ISOLATED,
    ),
)
GUEST = GuestSpec(
    instance_id=INSTANCE_ID,
    name="instance-00000001",
    display_name="web <1> & friends",
    hostname="web-1",
    project_id="0123456789abcdef0123456789abcdef",
    vcpus=2,
    memory_mib=2048,
    disk_gib=20,
    image=ImageSource(
        id="3f1c7e9a-0000-4000-8000-000000000001",
        name="tiny",
        disk_format="qcow2",
        size_bytes=17039360,
        virtual_size_bytes=32505856,
        sha512="0" * 128,
        url="http://images/tiny?signature=x",
        properties={"os_shutdown_timeout": "30"},
    ),
    nics=NICS,
    config_drive=ConfigDrive(meta_data={"uuid": INSTANCE_ID}, network_data={"links": []}, user_data_b64="aGVsbG8="),
    extra_specs={"hw:watchdog_action": "reset"},
)
MAKER = Maker(action_id="11111111-0000-4000-8000-000000000001", digest="d" * 64)
PATHS = GuestPaths(
    disk=Path(f"/var/lib/kilonova/instances/{INSTANCE_ID}/disk"),
    config_drive=Path(f"/var/lib/kilonova/instances/{INSTANCE_ID}/disk.config"),
    console_log=Path(f"/var/lib/kilonova/instances/{INSTANCE_ID}/console.log"),
)
RESCUE = ImageSource(
    id="3f1c7e9a-0000-4000-8000-000000000009",
    name="rescue",
    disk_format="qcow2",
    size_bytes=17039360,
    virtual_size_bytes=32505856,
    sha512="1" * 128,
    url="http://images/rescue?signature=x",
)
RESCUE_PATHS = dataclasses.replace(
    PATHS,
    config_drive=Path(f"/var/lib/kilonova/instances/{INSTANCE_ID}/disk.rescue.config"),
    rescue_disk=Path(f"/var/lib/kilonova/instances/{INSTANCE_ID}/disk.rescue"),
)
QEMU = HostTraits(virt_type="qemu", disk_cache="none", has_anti_spoofing=True)
KVM = HostTraits(virt_type="kvm", disk_cache="writeback", has_anti_spoofing=False)
ENTRIES = [("fa:16:3e:00:00:05", "10.0.0.5"), ("fa:16:3e:00:00:07", "10.0.0.7")]

DEFINITIONS = {
    "domain_qemu": lambda: domain(GUEST, MAKER, PATHS, QEMU),
    "domain_kvm": lambda: domain(GUEST, MAKER, PATHS, KVM),
    "domain_bare": lambda: domain(
        dataclasses.replace(GUEST, nics=(), config_drive=None),
        MAKER,
        dataclasses.replace(PATHS, config_drive=None),
        QEMU,
    ),
    "domain_rescue": lambda: domain(dataclasses.replace(GUEST, rescue=RESCUE), MAKER, RESCUE_PATHS, QEMU),
    "network_nat": lambda: network(NAT, ENTRIES),
    "network_isolated": lambda: network(ISOLATED, []),
    "network_without_dhcp": lambda: network(dataclasses.replace(NAT, dhcp=False), []),
    "network_without_gateway": lambda: network(dataclasses.replace(ISOLATED, gateway_ip=None, dhcp=False), []),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_definition_is_the_golden_one(name: str) -> None:
    made = DEFINITIONS[name]()
    file = GOLDEN / f"{name}.xml"
    if os.environ.get("REGENERATE_GOLDEN") == "1":
        file.write_text(made, encoding="utf-8")
    assert made == file.read_text(encoding="utf-8"), f"REGENERATE_GOLDEN=1 writes {file.name} anew; read the diff"


def test_every_golden_file_is_compared() -> None:
    assert {file.stem for file in GOLDEN.glob("*.xml")} == set(DEFINITIONS)
