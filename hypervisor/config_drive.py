"""The config drive: a small ISO 9660 image labelled `config-2`, with the files that cloud-init reads from it.

Source: OpenStack's metadata format (Nova, "Metadata", `openstack/<version>/…`). The same content gives the same bytes.
"""

from __future__ import annotations

import base64
import io
import json
import time
import types
from pathlib import Path
from typing import Any

import pycdlib
import pycdlib.dates
import pycdlib.headervd
import pycdlib.pycdlib

from hypervisor.spec import ConfigDrive

LABEL = "config-2"
# The metadata version whose keys these files have; cloud-init takes the newest it knows, people look at `latest`.
VERSIONS = ("2018-08-27", "latest")
_STAMP = 1535328000.0  # 2018-08-27T00:00:00Z


# pycdlib stamps everything with now, in local time: it gets a clock that stands, so that equal drives are equal.
_clock = types.SimpleNamespace(**{**vars(time), "time": lambda: _STAMP, "localtime": time.gmtime})
for _module in (pycdlib.pycdlib, pycdlib.headervd, pycdlib.dates):
    vars(_module)["time"] = _clock


def files(drive: ConfigDrive) -> dict[str, bytes]:
    """The files of one metadata version, by name."""
    content = {
        "meta_data.json": _json(drive.meta_data),
        "network_data.json": _json(drive.network_data),
        "vendor_data.json": b"{}",
    }
    if drive.user_data_b64 is not None:
        content["user_data"] = base64.b64decode(drive.user_data_b64)
    return content


def build(drive: ConfigDrive) -> bytes:
    """The image's bytes: `openstack/latest` and a dated twin of it, with Joliet and Rock Ridge names."""
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL, app_ident_str="Kilonova")
    _directory(image, "/OPENSTACK", "/openstack")
    for version in VERSIONS:
        short = f"/OPENSTACK/{_short(version)}"
        _directory(image, short, f"/openstack/{version}")
        for name, content in files(drive).items():
            image.add_fp(
                io.BytesIO(content),
                len(content),
                f"{short}/{_short(name)};1",
                rr_name=name,
                joliet_path=f"/openstack/{version}/{name}",
            )
    out = io.BytesIO()
    image.write_fp(out)
    image.close()
    return out.getvalue()


def write(drive: ConfigDrive, path: Path) -> None:
    """After it `path` holds the drive, readable by its owner alone: user data may hold secrets."""
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_bytes(build(drive))
    draft.rename(path)


def read(path: Path, name: str) -> bytes:
    """One file of the drive at `path`, by its full name ("openstack/latest/meta_data.json")."""
    image = pycdlib.PyCdlib()
    image.open(str(path))
    try:
        out = io.BytesIO()
        image.get_file_from_iso_fp(out, rr_path=f"/{name}")
        return out.getvalue()
    finally:
        image.close()


def _directory(image: pycdlib.PyCdlib, iso_path: str, path: str) -> None:
    image.add_directory(iso_path, rr_name=path.rpartition("/")[2], joliet_path=path)


def _short(name: str) -> str:
    """The name as plain ISO 9660 has it; nobody reads these, Rock Ridge and Joliet carry the real ones."""
    return name.upper().replace("-", "_")


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, indent=1).encode()
