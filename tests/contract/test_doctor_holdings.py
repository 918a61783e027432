"""Facet Holdings: what a host says that it has, and the removal of what nobody owns."""

from __future__ import annotations

import dataclasses
import uuid
from pathlib import Path

import pytest

from hypervisor.errors import HypervisorFailed
from hypervisor.holdings import EntryFound
from hypervisor.spec import GuestSpec, ImageSource
from tests.contract import specs
from tests.contract.hosts import Host, LibvirtHost, load_host


def build(host: Host, image: ImageSource) -> GuestSpec:
    """A guest on that host, with its disk and its port, that runs."""
    guest = dataclasses.replace(specs.guest(specs.nic(specs.network())), image=image)
    base = host.driver.images.fetch(image, specs.Listener())
    host.driver.disks.create(guest, base, specs.maker(), specs.Listener())
    host.driver.interfaces.plug(guest, specs.maker(), specs.Listener())
    host.driver.lifecycle.start(guest, specs.maker(), specs.Listener())
    return guest


def remove(host: Host, guest: GuestSpec) -> None:
    host.driver.lifecycle.remove(guest.instance_id, None)
    host.driver.interfaces.unplug(guest.instance_id, guest.nics, None)
    host.driver.disks.delete(guest.instance_id, None)


def test_a_guest_is_seen_with_all_that_is_its(host: Host, image: ImageSource) -> None:
    guest, (nic,), holdings = (built := build(host, image)), built.nics, host.driver.holdings
    domain = next(found for found in holdings.domains() if found.instance_id == guest.instance_id)
    assert (domain.name, domain.power_state, domain.is_ours) == (guest.name, 1, True)
    assert domain.action_id == specs.maker().action_id
    (directory,) = holdings.directories()
    assert (directory.name, directory.kept_by, directory.is_removing) == (guest.instance_id, "", False)
    assert (directory.has_disk, directory.action_id) == (True, specs.maker().action_id)
    assert {"disk", "disk.config", "made.json"} <= {file.name for file in directory.files}
    (base,) = holdings.bases()
    assert (base.name, base.is_used) == (image.sha512, True)
    (network,) = holdings.networks()
    (port,) = network.ports
    assert (network.id, network.is_running, network.strays) == (nic.network.id, True, ())
    assert (port.port_id, port.instance_id, port.mac, port.ip, port.is_served) == (
        *(nic.port_id, guest.instance_id, nic.mac, nic.ip),
        True,
    )
    remove(host, guest)
    assert holdings.directories() == holdings.networks() == ()
    assert guest.instance_id not in {found.instance_id for found in holdings.domains()}
    assert [found.is_used for found in holdings.bases()] == [False]


def test_a_base_image_that_a_disk_stands_on_or_that_was_asked_for_since_stays(host: Host, image: ImageSource) -> None:
    guest, holdings = build(host, image), host.driver.holdings
    (base,) = holdings.bases()
    assert not holdings.remove_base(base.name, base.used_at)
    remove(host, guest)
    assert not holdings.remove_base(base.name, base.used_at - 1)
    assert [found.name for found in holdings.bases()] == [base.name]
    for _ in range(2):
        assert holdings.remove_base(base.name, base.used_at)
        assert list(host.config.base_dir.iterdir()) == []


@pytest.mark.parametrize("name", ["../instances", "/etc/passwd", "..", ".hidden", ""])
def test_a_base_image_is_one_name(host: Host, name: str) -> None:
    (host.config.state_dir / "instances").mkdir(exist_ok=True)
    host.driver.holdings.remove_base(name, 2.0**40)
    assert (host.config.state_dir / "instances").is_dir()
    assert Path("/etc/passwd").exists()


def test_a_directory_is_set_aside_whole_and_another_of_that_name_too(host: Host) -> None:
    name, root = str(uuid.uuid4()), host.config.instances_dir
    for content in ("first", "second"):
        (root / name).mkdir(parents=True)
        (root / name / "disk").write_text(content)
        for _ in range(2):
            host.driver.holdings.set_aside(name)
        assert not (root / name).exists()
    assert sorted(path.read_text() for path in (root / "set-aside").rglob("disk")) == ["first", "second"]
    assert host.driver.holdings.directories() == ()


def test_a_directory_is_removed_and_half_a_removal_finished(host: Host) -> None:
    instance, action, root = str(uuid.uuid4()), str(uuid.uuid4()), host.config.instances_dir
    names = [instance, f"{instance}.{action}", f".removing-{uuid.uuid4()}"]
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "disk").write_text("x")
    found = {directory.name: directory for directory in host.driver.holdings.directories()}
    assert set(found) == set(names)
    assert found[names[1]].kept_by == action
    assert found[names[2]].is_removing
    for name in names:
        for _ in range(2):
            host.driver.holdings.remove_directory(name)
    assert host.driver.holdings.directories() == ()
    assert [path.name for path in root.iterdir() if path.name.startswith(".removing")] == []


@pytest.mark.parametrize("name", ["storage-id", "..", "../base", "set-aside", "", "not-a-uuid"])
def test_what_is_no_directory_of_an_instance_is_refused(host: Host, name: str) -> None:
    host.driver.holdings.storage_id()
    for act in (host.driver.holdings.set_aside, host.driver.holdings.remove_directory):
        with pytest.raises(HypervisorFailed, match="no directory"):
            act(name)
    assert (host.config.instances_dir / "storage-id").exists()


def test_another_clouds_guests_on_the_same_machine_are_not_seen(host: Host, image: ImageSource, tmp_path: Path) -> None:
    guest = build(host, image)
    other = load_host(host.driver.name, tmp_path / "another cloud")
    try:
        assert guest.instance_id not in {found.instance_id for found in other.driver.holdings.domains()}
        assert other.driver.holdings.networks() == ()
    finally:
        other.clean()
        remove(host, guest)


@pytest.mark.real
def test_a_dhcp_entry_without_a_port_is_seen_and_forgotten(libvirt_host: LibvirtHost) -> None:
    guest = specs.guest(specs.nic(specs.network()))
    libvirt_host.driver.interfaces.plug(guest, specs.maker(), specs.Listener())
    network, holdings = guest.nics[0].network, libvirt_host.driver.holdings
    ip = network.cidr.rpartition(".")[0] + ".99"
    stray = EntryFound(network_id=network.id, mac="52:54:00:00:00:99", ip=ip)
    found = libvirt_host.connection.networkLookupByUUIDString(network.id)
    xml = f"<host mac='{stray.mac}' ip='{ip}'/>"
    section = libvirt_host.libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST
    found.update(libvirt_host.libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, section, -1, xml, 3)
    assert [known.strays for known in holdings.networks()] == [(stray,)]
    for _ in range(2):
        holdings.forget_entry(network.id, stray.mac, stray.ip)
        assert [known.strays for known in holdings.networks()] == [()]
    nic = guest.nics[0]
    holdings.forget_entry(network.id, nic.mac, nic.ip)  # a port is plugged with it: it stays
    assert libvirt_host.dhcp(network) == {(nic.mac, nic.ip)}
    libvirt_host.driver.interfaces.unplug(guest.instance_id, guest.nics, None)
