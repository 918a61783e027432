"""What a rig is planned as, before anything runs: names, addresses, directories, settings."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.embedded import envfile, programs, subnets
from cloud.embedded import settings as settings_
from cloud.embedded.rig import control, hosts, plan
from cloud.embedded.rig.plan import Rig, Storage
from cloud.embedded.trouble import Trouble


@pytest.fixture(autouse=True)
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A register of subnets of this test's own."""
    monkeypatch.setattr(subnets, "TAKEN", tmp_path / "subnets")
    return tmp_path / "subnets"


@pytest.fixture
def root() -> Iterator[Path]:
    """A rig's directory that is not there yet, on a path short enough for sockets: pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="kn-plan-") as short:
        yield Path(short) / "rig"


def test_mixed_storage_is_shared_by_the_first_two_hosts_alone(root: Path) -> None:
    assert [host.is_shared for host in plan.make(root, 4, Storage.MIXED).hosts] == [True, True, False, False]


@pytest.mark.parametrize(("storage", "shared"), [(Storage.SHARED, 3), (Storage.LOCAL, 0)])
def test_storage_is_shared_by_all_hosts_or_by_none(root: Path, storage: Storage, shared: int) -> None:
    rig = plan.make(root, 3, storage)
    assert len({host.instances for host in rig.hosts}) == (1 if shared else 3)
    assert sum(host.is_shared for host in rig.hosts) == shared


def test_a_rig_is_found_again_as_it_was_made(root: Path) -> None:
    made = plan.make(root, 3, Storage.MIXED)
    assert plan.require(root) == made == plan.make(root, 3, Storage.MIXED)


def test_another_rig_in_the_same_place_is_refused(root: Path) -> None:
    plan.make(root, 3, Storage.MIXED)
    for size, storage in ((4, Storage.MIXED), (3, Storage.LOCAL)):
        with pytest.raises(Trouble, match="has a rig of 3 hosts with mixed storage already"):
            plan.make(root, size, storage)


def test_a_directory_with_somebody_elses_files_is_refused_and_left_as_it_is(root: Path) -> None:
    root.mkdir()
    (root / "thesis.txt").write_text("years")
    with pytest.raises(Trouble, match=r"no rig's"):
        plan.make(root, 3, Storage.MIXED)
    assert [path.name for path in root.iterdir()] == ["thesis.txt"]


def test_two_rigs_share_no_subnet_no_port_and_no_name(root: Path) -> None:
    first = plan.make(root / "a", 3, Storage.MIXED)
    second = plan.make(root / "b", 3, Storage.MIXED)
    assert not first.subnet.overlaps(second.subnet)
    assert first.prefix != second.prefix
    assert abs(first.api_port - second.api_port) >= 3
    assert {host.uuid for host in first.hosts}.isdisjoint(host.uuid for host in second.hosts)


def test_a_subnet_that_another_cloud_took_after_a_reboot_is_not_shared_with_it(root: Path, taken: Path) -> None:
    rig = plan.make(root / "a", 3, Storage.MIXED)
    (root / "other").mkdir()
    taken.write_text(f"{rig.subnet} {root / 'other'}\n")
    with pytest.raises(Trouble, match="another cloud's now"):
        plan.make(root / "a", 3, Storage.MIXED)


@pytest.mark.parametrize("path", ["rig", "/" + "x" * 60])
def test_a_relative_or_long_directory_is_refused(path: str) -> None:
    with pytest.raises(Trouble, match="give an absolute path of at most 60 characters"):
        plan.root_of({"KILONOVA_RIG_DIR": path})


@pytest.mark.parametrize("size", [0, -1, 101])
def test_a_number_of_hosts_that_cannot_be_is_refused(root: Path, size: int) -> None:
    with pytest.raises(Trouble, match=f"{size} hosts"):
        plan.make(root, size, Storage.MIXED)
    assert not root.exists()


def test_an_unknown_host_is_refused_with_the_names_that_there_are(root: Path) -> None:
    with pytest.raises(Trouble, match="no host 'h4' in this rig; there are: h1 h2 h3"):
        plan.make(root, 3, Storage.MIXED).host("h4")


# --- settings -------------------------------------------------------------------------------------------------------


def settings_of(rig: Rig, **environment: str) -> settings_.Settings:
    made = control.settings(rig, environment=environment)
    rig.cloud_dir.mkdir(exist_ok=True)
    settings_.remember(made)
    return made


def test_the_control_plane_runs_no_compute_worker_and_no_libvirt(root: Path) -> None:
    names = [program.name for program in programs.programs(settings_of(plan.make(root, 3, Storage.MIXED)))]
    assert names == ["redis", "api", "conductor", "beat"]


def test_a_host_runs_libvirt_and_both_workers_and_nothing_else(root: Path) -> None:
    rig = plan.make(root, 3, Storage.MIXED)
    names = [program.name for program in hosts.programs(rig.host("h2"))]
    assert names == ["virtlogd", "libvirtd", "compute", "compute-ctl"]


def test_the_rig_decides_where_it_is_and_the_environment_the_rest(root: Path) -> None:
    rig = plan.make(root, 3, Storage.MIXED)
    said = {"KILONOVA_STATE_DIR": "/elsewhere", "KILONOVA_HOST": "mine", "API_HOST": "192.0.2.1", "DOWN_AFTER": "30"}
    made = settings_of(rig, **said, VIRT_TYPE="qemu")
    assert (made.state_dir, made["API_HOST"], made.hosts) == (rig.cloud_dir, rig.address, [])
    again = settings_of(rig)
    assert (again["DOWN_AFTER"], again["VIRT_TYPE"], again["HEARTBEAT_INTERVAL"]) == ("30", "qemu", "2")


def test_flower_stays_once_it_was_asked_for(root: Path) -> None:
    rig = plan.make(root, 3, Storage.MIXED)
    settings_of(rig)
    assert "flower" not in settings_of(rig).roles
    settings_.remember(control.settings(rig, with_flower=True, environment={}))
    assert "flower" in settings_of(rig).roles


def test_a_host_is_told_no_secret_but_its_own(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = plan.make(root, 2, Storage.MIXED)
    made = settings_of(rig)
    admitted = [{"KILONOVA_HOST": h.name, "KILONOVA_HOST_KEY": h.name, "BROKER_URL": "redis://own"} for h in rig.hosts]
    monkeypatch.setattr(control.enroll, "admit", lambda settings, names: admitted)
    for host, environment in zip(rig.hosts, control.enrol(rig, made), strict=True):
        text = envfile.render(environment)
        assert not any(made[name] in text for name in settings_.SECRETS)
        assert "DATABASE_URL" not in environment
        assert (environment["HOST_IP"], environment["BROKER_URL"]) == (host.address, "redis://own")
        assert environment["KILONOVA_STATE_DIR"] == str(rig.state_path)
