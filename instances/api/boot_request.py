"""The body of a create to what the service takes; what is not served yet is refused in words."""

from __future__ import annotations

from typing import Any

from cloud.api.schemas import boolean
from cloud.errors import BadRequest
from instances.models import DiskConfig
from instances.services import BootRequest


def boot_request(body: dict[str, Any]) -> BootRequest:
    """The body, whose schema holds, as the service takes it. Raises BadRequest for what is not served yet."""
    server = body["server"]
    if server.get("personality"):
        raise BadRequest(
            "Invalid input for field/attribute personality: files are not injected; send user_data instead.",
            field="personality",
        )
    min_count = int(server.get("min_count", 1))
    max_count = int(server.get("max_count", min_count))
    return BootRequest(
        name=server["name"].strip(),
        flavor_id=str(server["flavorRef"]),
        image_id=_image_of(server),
        networks=_networks_of(server),
        min_count=min_count,
        max_count=max_count,
        zone=server.get("availability_zone"),
        host=server.get("host"),
        hypervisor_hostname=server.get("hypervisor_hostname"),
        key_name=server.get("key_name"),
        user_data=server.get("user_data", ""),
        metadata=server.get("metadata", {}),
        security_groups=tuple(item["name"] for item in server.get("security_groups") or ()) or ("default",),
        hints={**body.get("OS-SCH-HNT:scheduler_hints", {}), **body.get("os:scheduler_hints", {})},
        tags=tuple(server.get("tags", ())),
        description=server.get("description"),
        hostname=server.get("hostname"),
        # Without a metadata service a guest learns its keys from the drive alone: it is there unless refused.
        config_drive=boolean(server.get("config_drive", True)),
        access_ip_v4=server.get("accessIPv4") or None,
        access_ip_v6=server.get("accessIPv6") or None,
        disk_config=server.get("OS-DCF:diskConfig", DiskConfig.MANUAL),
    )


def _networks_of(server: dict[str, Any]) -> Any:
    """None for an empty list, which asks for nothing in particular."""
    networks = server.get("networks")
    if not isinstance(networks, list):
        return networks
    for position, item in enumerate(networks):
        if item.get("uuid") is None and item.get("port") is None:
            raise BadRequest(
                f"Invalid input for field/attribute networks/{position}. Value: {item}. It names neither a network "
                "(uuid) nor a port.",
                field=f"networks/{position}",
            )
    return networks or None


def _image_of(server: dict[str, Any]) -> str:
    """The image to boot from: `imageRef`, or the one entry of block_device_mapping_v2 that says the same."""
    image_id = server.get("imageRef") or ""
    devices = server.get("block_device_mapping_v2") or []
    if server.get("block_device_mapping") or len(devices) > 1:
        raise _no_volumes(server.get("block_device_mapping") or devices)
    for device in devices:
        says_image = device.get("source_type") == "image" and device.get("destination_type", "local") == "local"
        if not says_image or str(device.get("boot_index", 0)) != "0" or not isinstance(device.get("uuid"), str):
            raise _no_volumes(devices)
        image_id = image_id or device["uuid"]
        if device["uuid"] != image_id:
            raise BadRequest(
                f"block_device_mapping_v2 names image {device['uuid'][:80]!r} and imageRef {image_id!r}: one instance "
                "boots from one image.",
                field="block_device_mapping_v2",
            )
    if not image_id:
        raise BadRequest(
            "Invalid input for field/attribute imageRef. Value: ''. An image is needed: volumes are not served yet.",
            field="imageRef",
        )
    return str(image_id)


def _no_volumes(devices: list[Any]) -> BadRequest:
    return BadRequest(
        f"Invalid input for field/attribute block_device_mapping_v2. Value: {str(devices)[:160]}. Volumes are not "
        "served yet: the one entry allowed is the image, from source_type image to destination_type local.",
        field="block_device_mapping_v2",
    )
