"""A cloud with people of two projects, a flavor, an image and a network; hosts are rows alone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from django.utils import timezone

from cloud.images.models import Image, ImageStatus, Visibility
from cloud.networks.models import Network
from cloud.networks.selectors import PortRequest
from cloud.networks.services import allocate_ports, create_network, create_subnet
from instances.models import Flavor, Instance
from instances.states import PowerState, VmState
from tests.unit.identity.wire import Wire
from tests.unit.people import PASSWORD, admin, ann, bob, cloud, person, rita  # noqa: F401 (fixtures of this folder)

API = "/compute/v2.1"
GIB = 1024**3


def at(version: str) -> dict[str, str]:
    """The header that asks for a microversion."""
    return {"OpenStack-API-Version": f"compute {version}"}


def make_flavor(name: str = "small", **fields: Any) -> Flavor:
    wanted = {"flavorid": name, "memory_mib": 512, "vcpus": 2, "disk_gib": 10, **fields}
    return Flavor.objects.create(name=name, **wanted)


def make_image(name: str = "tiny", **fields: Any) -> Image:
    wanted: dict[str, Any] = {
        "status": ImageStatus.ACTIVE,
        "visibility": Visibility.PUBLIC,
        "disk_format": "qcow2",
        "container_format": "bare",
        "size": 1000,
        "virtual_size": GIB,
        "project_id": "f" * 32,
        **fields,
    }
    return Image.objects.create(name=name, **wanted)


def make_network(name: str = "shared", cidr: str = "10.1.0.0/24", **fields: Any) -> Network:
    made = create_network(project_id="f" * 32, name=name, is_shared=True, **fields)
    create_subnet(network_id=made.id, project_id=made.project_id, cidr=cidr)
    return made


@dataclass
class Ground:
    """What a boot needs."""

    flavor: Flavor
    image: Image
    network: Network

    def server(self, **fields: Any) -> dict[str, Any]:
        """The body of a create that is accepted; a field that is None is left out."""
        wanted = {
            "name": "web",
            "flavorRef": self.flavor.flavorid,
            "imageRef": str(self.image.pk),
            "networks": [{"uuid": str(self.network.pk)}],
            **fields,
        }
        return {"server": {key: value for key, value in wanted.items() if value is not None}}

    def boot(self, wire: Wire, version: str = "2.96", hints: Any = None, **fields: Any) -> Any:
        body = self.server(**fields)
        if hints is not None:
            body["os:scheduler_hints"] = hints
        return wire.post(f"{API}/servers", body, **at(version))


@pytest.fixture
def ground(cloud: None) -> Ground:  # noqa: F811 (the fixture)
    return Ground(make_flavor(), make_image(), make_network())


def project_of(wire: Wire) -> str:
    return wire.get("/identity/v3/auth/tokens", **{"X-Subject-Token": wire.token}).json()["token"]["project"]["id"]


def make_instance(project_id: str, name: str = "web", network: Network | None = None, **fields: Any) -> Instance:
    """An instance that runs on host h1, with an address when a network is given."""
    wanted: dict[str, Any] = {
        "user_id": "e" * 32,
        "reservation_id": "r-abcdefgh",
        "hostname": name,
        "host": "h1",
        "vm_state": VmState.ACTIVE,
        "power_state": PowerState.RUNNING,
        "flavor_id": "small",
        "flavor_name": "small",
        "vcpus": 2,
        "memory_mib": 512,
        "disk_gib": 10,
        "image_id": str(uuid.UUID(int=7)),
        "security_groups": ["default"],
        "launched_at": timezone.now(),
        **fields,
    }
    row = Instance.objects.create(project_id=project_id, display_name=name, **wanted)
    if network is not None:
        asked = [PortRequest(network_id=str(network.pk))]
        allocate_ports(instance_id=row.pk, project_id=project_id, host="h1", requests=asked, action_id=uuid.uuid4())
    return row
