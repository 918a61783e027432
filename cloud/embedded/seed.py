"""What a fresh cloud has: the image `tiny`, the flavors, the network `shared`. Only what is absent is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud.embedded import subnets
from cloud.embedded.rest import Cloud
from cloud.embedded.settings import Settings

IMAGE = "tiny"
NETWORK = "shared"


@dataclass(frozen=True, kw_only=True)
class Flavor:
    """A size of instance: memory in MiB, disk in GiB."""

    name: str
    ram: int
    vcpus: int
    disk: int


FLAVORS = (
    Flavor(name="m1.nano", ram=128, vcpus=1, disk=1),
    Flavor(name="m1.tiny", ram=512, vcpus=1, disk=1),
    Flavor(name="m1.small", ram=2048, vcpus=1, disk=20),
    Flavor(name="m1.medium", ram=4096, vcpus=2, disk=40),
    Flavor(name="m1.large", ram=8192, vcpus=4, disk=80),
)


def image(cloud: Cloud, file: Path) -> tuple[str, bool]:
    """The id of the public image `tiny`, and whether it was registered now. One that was never filled is replaced."""
    for found in cloud.get(f"/image/v2/images?name={IMAGE}")["images"]:
        if found["status"] == "active":
            return found["id"], False
        if found["status"] == "queued":
            cloud.delete(f"/image/v2/images/{found['id']}")
    body = {"name": IMAGE, "disk_format": "qcow2", "container_format": "bare", "visibility": "public"}
    made = cloud.post("/image/v2/images", body)
    with file.open("rb") as data:
        cloud.upload(f"/image/v2/images/{made['id']}/file", data)
    return made["id"], True


def flavors(cloud: Cloud, wanted: Sequence[Flavor] = FLAVORS) -> list[str]:
    """Makes the wanted flavors that are absent; gives their names."""
    there = {flavor["name"] for flavor in cloud.get("/compute/v2.1/flavors/detail?is_public=None")["flavors"]}
    missing = [flavor for flavor in wanted if flavor.name not in there]
    for flavor in missing:
        body = {"name": flavor.name, "ram": flavor.ram, "vcpus": flavor.vcpus, "disk": flavor.disk, "id": "auto"}
        cloud.post("/compute/v2.1/flavors", {"flavor": body})
    return [flavor.name for flavor in missing]


def network(settings: Settings, cloud: Cloud) -> tuple[str, str]:
    """The id of the network `shared`, and the CIDR of its subnet when it was made now."""
    found = [n for n in cloud.get(f"/networking/v2.0/networks?name={NETWORK}")["networks"] if n["shared"]]
    if found and found[0]["subnets"]:
        return found[0]["id"], ""
    made: dict[str, Any] = found[0] if found else {}
    if not made:
        made = cloud.post("/networking/v2.0/networks", {"network": {"name": NETWORK, "shared": True}})["network"]
    cidr = subnets.choose(settings)
    subnet = {"network_id": made["id"], "cidr": cidr, "ip_version": 4, "name": NETWORK}
    cloud.post("/networking/v2.0/subnets", {"subnet": subnet})
    return made["id"], cidr


def flavor_id(cloud: Cloud, name: str) -> str:
    """The id of a flavor that is there."""
    listed = cloud.get("/compute/v2.1/flavors")["flavors"]
    return next(flavor["id"] for flavor in listed if flavor["name"] == name)
