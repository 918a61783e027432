"""Side files, locks, records of ports and the instances' directories."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypervisor import file_locks, side_files
from hypervisor.instance_files import InstanceFiles, Made
from hypervisor.port_records import PortRecord, PortRecords
from tests.contract import specs


def test_a_side_file_reads_as_it_was_written_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "made.json"
    for value in (1, 2):
        side_files.write(path, {"value": value})
        assert side_files.read(path) == {"value": value}
    assert os.listdir(tmp_path) == ["made.json"]


def test_a_side_file_that_is_damaged_or_missing_reads_as_none(tmp_path: Path) -> None:
    path = tmp_path / "made.json"
    assert side_files.read(path) is None
    for damaged in (b"", b"{", b"[]", b"\xff"):
        path.write_bytes(damaged)
        assert side_files.read(path) is None


def test_a_lock_excludes_threads_and_may_be_unlinked_by_its_holder(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "lock", [0], [0]
    guard = threading.Lock()

    def work(_: int) -> None:
        with file_locks.held(path, file_locks.EXCLUSIVE, lambda: None):
            with guard:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            os.sched_yield()
            with guard:
                inside[0] -= 1
            path.unlink()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert most == [1]


def test_a_lock_that_is_taken_is_not_had(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with file_locks.tried(path, file_locks.SHARED) as first, file_locks.tried(path, file_locks.SHARED) as second:
        assert first
        assert second
        with file_locks.tried(path, file_locks.EXCLUSIVE) as third:
            assert not third


def test_directories_let_qemus_user_pass_whatever_the_umask_says(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path / "state" / "instances")
    guest = specs.guest()
    before = os.umask(0o077)
    try:
        files.sign(guest.instance_id, Made(maker=specs.maker(), base="/base", is_complete=True))
    finally:
        os.umask(before)
    for directory in (files.directory(guest.instance_id), files.root, files.root.parent):
        assert directory.stat().st_mode & 0o777 == 0o711


def test_an_empty_directory_that_nobody_signed_is_removed_by_an_undo(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path)
    guest = specs.guest()
    files.directory(guest.instance_id).mkdir()
    files.remove(guest.instance_id, specs.maker())
    assert os.listdir(tmp_path) == []


def test_files_that_nobody_signed_are_not_removed_by_an_undo(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path)
    guest = specs.guest()
    files.directory(guest.instance_id).mkdir()
    files.disk(guest.instance_id).touch()
    files.remove(guest.instance_id, specs.maker())
    assert files.disk(guest.instance_id).exists()


def test_a_removal_that_was_interrupted_is_finished_by_the_next(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path)
    guest = specs.guest()
    (tmp_path / f".removing-{guest.instance_id}").mkdir()
    (tmp_path / f".removing-{guest.instance_id}" / "disk").touch()
    files.remove(guest.instance_id, None)
    assert os.listdir(tmp_path) == []


def test_bases_in_use_are_those_that_disks_stand_on(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path)
    for base in ("/base/a", "/base/b", "/base/b"):
        files.sign(specs.guest().instance_id, Made(maker=specs.maker(), base=base, is_complete=True))
    files.storage_id()
    assert files.bases_in_use() == {"/base/a", "/base/b"}


def test_many_hosts_that_start_at_once_agree_on_one_storage_id(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(lambda _: InstanceFiles(tmp_path / "instances").storage_id(), range(16)))
    assert len(told) == 1
    assert os.listdir(tmp_path / "instances") == ["storage-id"]


def test_records_of_ports_are_kept_by_network(tmp_path: Path) -> None:
    records = PortRecords(tmp_path)
    network = specs.network()
    nic = specs.nic(network)
    record = PortRecord.of(nic, "instance", specs.maker())
    assert records.is_empty(network.id)
    records.put(network.id, record)
    assert records.get(network.id, nic.port_id) == record
    assert records.of_network(network.id) == [record]
    for _ in range(2):
        records.remove(network.id, nic.port_id)
        assert records.is_empty(network.id)
