"""A project with an image, a flavor and a network, and what its user asks for through the services."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from cloud.api.policy import MEMBER, Caller
from cloud.images.models import ContainerFormat, DiskFormat, Image, ImageStatus, Visibility
from cloud.networks.models import Port
from cloud.networks.services import create_network, create_subnet
from instances.models import Flavor, Instance
from instances.services import BootRequest, boot_instances


class Tenant:
    """One project and its user."""

    def __init__(self, *, disk_gib: int = 1) -> None:
        self.project_id = uuid.uuid4().hex
        self.caller = Caller(
            user_id=uuid.uuid4().hex,
            user_name="user",
            user_domain_id="default",
            project_id=self.project_id,
            project_name="project",
            roles=frozenset({MEMBER}),
        )
        self.image = self._image("image", b"not read by the simulated driver")
        name = f"flavor-{uuid.uuid4().hex[:8]}"
        self.flavor = Flavor.objects.create(flavorid=name, name=name, memory_mib=128, vcpus=1, disk_gib=disk_gib)
        self.network = create_network(project_id=self.project_id, name="network")
        create_subnet(network_id=self.network.pk, project_id=self.project_id, cidr="10.77.0.0/24")

    def _image(self, name: str, content: bytes) -> Image:
        return Image.objects.create(
            project_id=self.project_id,
            name=name,
            status=ImageStatus.ACTIVE,
            visibility=Visibility.PRIVATE,
            disk_format=DiskFormat.RAW,
            container_format=ContainerFormat.BARE,
            size=len(content),
            virtual_size=len(content),
            properties={"hw_qemu_guest_agent": "yes"},
            os_hash_algo="sha512",
            os_hash_value=hashlib.sha512(content).hexdigest(),
        )

    def another_image(self) -> Image:
        """An image beside the one that instances are booted from."""
        return Image.objects.filter(name="another image").first() or self._image("another image", b"others' bytes")

    def boot(self, **wanted: Any) -> Instance:
        """Asks for one instance on the network."""
        request = BootRequest(
            name="instance",
            flavor_id=self.flavor.flavorid,
            image_id=str(self.image.pk),
            networks=[{"uuid": str(self.network.pk)}],
            **wanted,
        )
        (instance,) = boot_instances(caller=self.caller, request=request)
        return instance

    def ports_of(self, instance_id: Any) -> list[Port]:
        """The ports that the network room still has for an instance."""
        return list(Port.objects.filter(device_id=str(instance_id)))
