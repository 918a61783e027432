"""Nothing that a client sends is a 500, at any address; what is refused is refused in the shape of its service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from cloud.api.errors import service_of
from cloud.identity.bootstrap import bootstrap
from cloud.identity.models import Role
from cloud.identity.services import create_domain, create_project, create_user
from cloud.networks.models import Port, Subnet
from cloud.workflow.models import Service
from tests.hostile_requests import HostileRequest, hostile_requests, paths
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import make_flavor, make_image, make_instance, make_network

PASSWORD = "correct horse"
REQUESTS = 500


def send(request: HostileRequest, token: str) -> Any:
    headers = {"X-Auth-Token": token, **request.headers}
    return Client(raise_request_exception=False).generic(
        request.method, request.path, request.body, content_type=request.content_type, headers=headers
    )


def message_of(service: str, reply: dict[str, Any]) -> str:
    """What an error says, read as the clients of its service do."""
    if service == "identity":
        return str(reply["error"]["message"])
    if service == "network":
        return str(reply["NeutronError"]["message"])
    if service == "image":
        return str(reply["message"])
    if service == "placement":
        return str(reply["errors"][0]["detail"])
    (inner,) = reply.values()
    return str(inner["message"])


@pytest.fixture
def ids(db: None, settings: Any, tmp_path: Path) -> dict[str, str]:
    """One of each thing, by its name in addresses. None of them is the sender's own: it must not end itself."""
    settings.IMAGES_DIR = tmp_path / "images"
    bootstrap(admin_password=PASSWORD)
    project = create_project(name="victim")
    network = make_network()
    instance = make_instance(project.pk, network=network)
    flavor, image = make_flavor(), make_image(project_id=project.pk)
    service = Service.objects.create(binary="nova-compute", host="h1")
    return {
        "project_id": project.pk,
        "target_id": project.pk,
        "user_id": create_user(name="victim", password=PASSWORD).pk,
        "role_id": Role.objects.get(name="member").pk,
        "domain_id": create_domain(name="victim").pk,
        "kind": "projects",
        "server_id": str(instance.pk),
        "flavor_id": flavor.flavorid,
        "image_id": str(image.pk),
        "network_id": str(network.pk),
        "subnet_id": str(Subnet.objects.get().pk),
        "port_id": str(Port.objects.get().pk),
        "service_id": str(service.uuid),
        "number": "2.1",
    }


def test_every_service_is_among_the_addresses() -> None:
    assert {service_of(path) for path in paths()} == {"identity", "image", "network", "compute", "placement"}
    assert len(paths()) > 100


@pytest.mark.parametrize("seed", [1, 2])
def test_no_request_makes_a_500(ids: dict[str, str], seed: int) -> None:
    token = Wire.logged_in("admin", PASSWORD, project="admin").token
    failed: list[str] = []
    for request in hostile_requests(seed, REQUESTS, ids):
        if request.path.startswith("/healthcheck"):
            continue  # 503 while no conductor runs, as it says
        reply = send(request, token)
        if reply.status_code >= 500:
            failed.append(f"{reply.status_code}: {request}")
        elif reply.status_code >= 400 and reply.content and not request.path.startswith("/kilonova/"):
            try:
                assert message_of(service_of(request.path.partition("?")[0]), json.loads(reply.content))
            except (ValueError, KeyError, TypeError, AttributeError, IndexError):
                failed.append(f"not the wire's shape, {reply.status_code} {reply.content[:200]!r}: {request}")
    assert not failed, f"{len(failed)}:\n" + "\n".join(failed[:20])
    assert Wire(token=token).get("/compute/v2.1/servers").status_code == 200
