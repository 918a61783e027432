"""The single translator from rows to what a host is told: Instance, its image and its ports → GuestSpec."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from cloud.images.models import Image
from cloud.images.signed_url import download_url
from cloud.networks.selectors import nic_specs
from hypervisor.spec import ConfigDrive, GuestSpec, ImageSource, NicSpec
from instances.models import Instance
from instances.states import VmState


def guest_spec(instance: Instance, *, url_expires_at: datetime, image_id: str | None = None) -> GuestSpec:
    """The guest of `instance`, complete. The image's address in it is good until `url_expires_at`.

    `image_id`: the image that its disk is to be made from, when it is not the one that the instance was made from.
    """
    nics = nic_specs(instance.pk)
    return GuestSpec(
        instance_id=str(instance.pk),
        name=instance.domain_name,
        display_name=instance.display_name,
        hostname=instance.hostname,
        project_id=instance.project_id,
        vcpus=instance.vcpus,
        memory_mib=instance.memory_mib,
        disk_gib=instance.disk_gib,
        image=_image_source(instance.image_id if image_id is None else image_id, instance, url_expires_at),
        nics=nics,
        config_drive=_config_drive(instance, nics) if instance.config_drive else None,
        extra_specs=instance.extra_specs,
        rescue=(
            _image_source(instance.rescue_image_id, instance, url_expires_at)
            if instance.vm_state == VmState.RESCUED
            else None
        ),
    )


def with_password(guest: GuestSpec, password: str) -> GuestSpec:
    """The guest, told its administrator's password by its config drive; one without a drive is told nothing."""
    if guest.config_drive is None:
        return guest
    told = {**guest.config_drive.meta_data, "admin_pass": password}
    return replace(guest, config_drive=replace(guest.config_drive, meta_data=told))


def _image_source(image_id: str, instance: Instance, url_expires_at: datetime) -> ImageSource:
    image = Image.objects.filter(pk=image_id).first() if image_id else None
    if image is None:  # its row is forgotten long after it was deleted; the guest's disk stands on the cached base
        return ImageSource(
            id=image_id,
            name=instance.image_name,
            disk_format="",
            size_bytes=0,
            virtual_size_bytes=0,
            sha512="",
            url="",
            properties=dict(instance.image_properties),
        )
    return ImageSource(
        id=str(image.pk),
        name=image.name or "",
        disk_format=image.disk_format or "raw",
        size_bytes=image.size or 0,
        virtual_size_bytes=image.virtual_size or image.size or 0,
        sha512=image.os_hash_value or "",
        url=download_url(str(image.pk), url_expires_at),
        properties=dict(image.properties),
    )


def _config_drive(instance: Instance, nics: tuple[NicSpec, ...]) -> ConfigDrive:
    """The metadata that cloud-init reads: OpenStack's `meta_data.json` and `network_data.json`."""
    meta_data: dict[str, Any] = {
        "uuid": str(instance.pk),
        "name": instance.display_name,
        "hostname": instance.hostname,
        "launch_index": instance.launch_index,
        "availability_zone": instance.availability_zone,
        "project_id": instance.project_id,
        "meta": dict(instance.metadata),
        "public_keys": {instance.key_name: instance.key_data} if instance.key_name else {},
        "keys": ([{"name": instance.key_name, "type": "ssh", "data": instance.key_data}] if instance.key_name else []),
    }
    return ConfigDrive(meta_data=meta_data, network_data=_network_data(nics), user_data_b64=instance.user_data or None)


def _network_data(nics: tuple[NicSpec, ...]) -> dict[str, Any]:
    links = [
        {"id": nic.port_id, "type": "phy", "ethernet_mac_address": nic.mac, "mtu": nic.network.mtu} for nic in nics
    ]
    networks = [
        {"id": f"network{i}", "type": "ipv4_dhcp", "link": nic.port_id, "network_id": nic.network.id}
        for i, nic in enumerate(nics)
    ]
    dns = sorted({server for nic in nics for server in nic.network.dns})
    return {"links": links, "networks": networks, "services": [{"type": "dns", "address": a} for a in dns]}
