"""Parts of the libvirt driver that need no libvirtd."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hypervisor.console_log import LogConsole
from hypervisor.errors import HypervisorFailed, NoSpace, Superseded
from hypervisor.instance_files import InstanceFiles
from hypervisor.libvirt import disks, virt_type
from hypervisor.libvirt.dhcp_release import _packet
from hypervisor.libvirt.xml import reading
from tests.contract import specs

CAPABILITIES = """<capabilities><host><cpu><arch>x86_64</arch><model>EPYC</model><vendor>AMD</vendor>
<topology sockets='2' dies='1' cores='8' threads='2'/><feature name='svm'/><feature name='ht'/></cpu>
<topology><cells num='2'><cell id='0'/><cell id='1'/></cells></topology></host></capabilities>"""


@pytest.fixture
def cpuinfo(tmp_path: Path) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\nflags : fpu vme svm sse\n")
    return path


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "kvm"
    path.touch()
    return path


def test_auto_takes_kvm_when_the_cpu_and_the_device_allow_it(cpuinfo: Path, device: Path) -> None:
    assert virt_type.choose("auto", cpuinfo, device) == "kvm"


def test_auto_takes_qemu_when_the_cpu_cannot_though_the_device_opens(cpuinfo: Path, device: Path) -> None:
    cpuinfo.write_text("processor : 0\nflags : fpu vme vmxnet\n")
    assert virt_type.choose("auto", cpuinfo, device) == "qemu"


def test_auto_takes_qemu_when_there_is_no_device(cpuinfo: Path, tmp_path: Path) -> None:
    assert virt_type.choose("auto", cpuinfo, tmp_path / "none") == "qemu"


@pytest.mark.parametrize("setting", ["kvm", "qemu"])
def test_an_explicit_setting_wins(setting: str, tmp_path: Path) -> None:
    assert virt_type.choose(setting, tmp_path / "none", tmp_path / "none") == setting


def test_another_setting_is_refused_with_the_value() -> None:
    with pytest.raises(ValueError, match="'xen'"):
        virt_type.choose("xen")


def test_the_cpu_is_told_as_nova_tells_it() -> None:
    assert reading.cpu_info(CAPABILITIES) == {
        "arch": "x86_64",
        "model": "EPYC",
        "vendor": "AMD",
        "topology": {"cells": 2, "sockets": 2, "cores": 8, "threads": 2},
        "features": ["ht", "svm"],
    }


def test_a_dhcp_release_has_the_form_of_rfc_2131() -> None:
    packet = _packet("10.0.0.1", "fa:16:3e:00:00:05", "10.0.0.5", "01:fa:16:3e:00:00:05")
    assert packet[:4] == bytes([1, 1, 6, 0])
    assert packet[12:16] == bytes([10, 0, 0, 5])
    assert packet[28:44] == bytes.fromhex("fa163e000005") + bytes(10)
    assert packet[236:240] == b"\x63\x82\x53\x63"
    options = bytes([53, 1, 7, 54, 4, 10, 0, 0, 1, 61, 7, 1]) + bytes.fromhex("fa163e000005") + b"\xff"
    assert packet[240:] == options


def test_a_child_that_fails_says_its_last_words() -> None:
    with pytest.raises(HypervisorFailed, match="ended with 3: no such thing"):
        disks.run_child(["sh", "-c", "echo no such thing >&2; exit 3"], specs.Listener())


def test_a_child_that_finds_the_disk_full_is_no_space() -> None:
    with pytest.raises(NoSpace):
        disks.run_child(["sh", "-c", "echo write failed: No space left on device >&2; exit 1"], specs.Listener())


def test_a_child_inherits_the_lock_of_its_target() -> None:
    reader, writer = os.pipe()
    disks.run_child(["sh", "-c", f"echo alive > /proc/self/fd/{writer}"], specs.Listener(lock_fd=writer))
    assert os.read(reader, 10) == b"alive\n"
    os.close(reader)
    os.close(writer)


def test_a_superseded_child_is_killed() -> None:
    listener = specs.Listener()
    listener.raises = Superseded()
    with pytest.raises(Superseded):
        disks.run_child(["sleep", "600"], listener)


def test_a_directory_that_is_closed_to_qemu_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "state").mkdir(parents=True)
    for directory, mode in ((closed, 0o700), (closed / "state", 0o711)):
        directory.chmod(mode)
    assert disks.closed_directory(closed / "state") is not None
    opened = [parent for parent in (tmp_path, *tmp_path.parents) if parent.stat().st_mode & 1]
    assert disks.closed_directory(closed / "state") not in opened


def test_the_console_goes_on_from_the_log_before(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path)
    guest = specs.guest()
    files.directory(guest.instance_id).mkdir()
    log = files.console_log(guest.instance_id)
    log.with_name("console.log.0").write_text("one\ntwo\n")
    log.write_text("three\n")
    assert LogConsole(files).output(guest.instance_id, 2) == "two\nthree\n"


def test_loading_the_simulated_driver_does_not_import_libvirt(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from hypervisor.config import HostConfig; "
        "from hypervisor.drivers import load; "
        "config = HostConfig(name='h', key='k', broker_url='', state_dir=Path(sys.argv[1]), driver='simulated'); "
        "load(config); assert 'libvirt' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=Path(__file__).parents[3], check=True)


def test_an_unknown_driver_is_refused_with_the_value(tmp_path: Path) -> None:
    from hypervisor.config import HostConfig
    from hypervisor.drivers import load

    with pytest.raises(ValueError, match="'xen'"):
        load(HostConfig(name="h", key="k", broker_url="", state_dir=tmp_path, driver="xen"))
