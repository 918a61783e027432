"""The config drive: what cloud-init looks for, and equal bytes for equal content."""

from __future__ import annotations

import base64
import dataclasses
import json
import time
from pathlib import Path

import pycdlib
import pytest

from hypervisor import config_drive
from hypervisor.spec import ConfigDrive

DRIVE = ConfigDrive(
    meta_data={"uuid": "u", "hostname": "web-1", "public_keys": {"mine": "ssh-ed25519 AAAA"}},
    network_data={"links": [], "networks": [], "services": []},
    user_data_b64=base64.b64encode(b"#cloud-config\n\xff").decode(),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "disk.config"
    config_drive.write(DRIVE, made)
    return made


def test_the_label_is_the_one_that_images_look_for(path: Path) -> None:
    image = pycdlib.PyCdlib()
    image.open(str(path))
    assert image.pvd.volume_identifier.strip() == b"config-2"
    assert image.has_rock_ridge()
    assert image.has_joliet()
    image.close()


@pytest.mark.parametrize("version", ["latest", "2018-08-27"])
def test_each_version_has_all_files(path: Path, version: str) -> None:
    def read(name: str) -> bytes:
        return config_drive.read(path, f"openstack/{version}/{name}")

    assert json.loads(read("meta_data.json")) == DRIVE.meta_data
    assert json.loads(read("network_data.json")) == DRIVE.network_data
    assert json.loads(read("vendor_data.json")) == {}
    assert read("user_data") == b"#cloud-config\n\xff"


def test_without_user_data_there_is_no_such_file() -> None:
    assert "user_data" not in config_drive.files(dataclasses.replace(DRIVE, user_data_b64=None))


def test_equal_content_gives_equal_bytes_at_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = config_drive.build(DRIVE)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert config_drive.build(DRIVE) == first
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_drive_is_for_its_owner_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
