"""Guests, networks and images for tests of drivers: small, unique, complete."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import random
import uuid
from typing import Any

from hypervisor.spec import ConfigDrive, GuestSpec, ImageSource, Maker, NetworkSpec, NicSpec

MIB = 1024**2
RAW_BYTES = bytes(MIB)


class Listener:
    """A `Progress` that counts its calls and can be told to raise at one."""

    def __init__(self, lock_fd: int = -1) -> None:
        self.lock_fd = lock_fd
        self.calls = 0
        self.raises: Exception | None = None

    def __call__(self, percent: int | None = None, message: str = "", details: dict[str, Any] | None = None) -> None:
        self.calls += 1
        if self.raises is not None:
            raise self.raises


def maker(action: str = "action-1", inputs: str = "inputs-1") -> Maker:
    return Maker(action_id=action, digest=inputs)


def image(content: bytes = RAW_BYTES, url: str = "http://127.0.0.1:9/none", **changed: Any) -> ImageSource:
    """A raw image of those bytes."""
    spec = ImageSource(
        id=str(uuid.uuid4()),
        name="tiny",
        disk_format="raw",
        size_bytes=len(content),
        virtual_size_bytes=len(content),
        sha512=hashlib.sha512(content).hexdigest(),
        url=url,
    )
    return dataclasses.replace(spec, **changed)


def network(**changed: Any) -> NetworkSpec:
    """A network that no other test has: its own id, bridge and addresses."""
    network_id = str(uuid.uuid4())
    second, third = random.randrange(128, 255), random.randrange(255)
    spec = NetworkSpec(
        id=network_id,
        name="shared",
        bridge=f"kn-{network_id.replace('-', '')[:12]}",
        mode="nat",
        cidr=f"10.{second}.{third}.0/24",
        gateway_ip=f"10.{second}.{third}.1",
        mtu=1450,
        dns=("192.0.2.53",),
        vni=random.randrange(1, 2**24),
    )
    return dataclasses.replace(spec, **changed)


def nic(on: NetworkSpec, last: int = 10) -> NicSpec:
    """A port on that network, with the address that ends in `last`."""
    mac = "fa:16:3e:" + ":".join(f"{random.randrange(256):02x}" for _ in range(3))
    ip = on.cidr.rpartition(".")[0] + f".{last}"
    return NicSpec(port_id=str(uuid.uuid4()), mac=mac, ip=ip, prefix=24, network=on)


def guest(*nics: NicSpec, **changed: Any) -> GuestSpec:
    """A guest with that id and those ports, 64 MiB of memory, a 1 GiB disk and a config drive."""
    instance_id = str(uuid.uuid4())
    spec = GuestSpec(
        instance_id=instance_id,
        name=f"contract-{instance_id[:8]}",
        display_name="contract",
        hostname="contract",
        project_id="0123456789abcdef0123456789abcdef",
        vcpus=1,
        memory_mib=64,
        disk_gib=1,
        image=image(),
        nics=nics,
        config_drive=ConfigDrive(
            meta_data={"uuid": instance_id, "hostname": "contract"},
            network_data={"links": [], "networks": [], "services": []},
            user_data_b64=base64.b64encode(b"#!/bin/sh\necho hello\n").decode(),
        ),
    )
    return dataclasses.replace(spec, **changed)
