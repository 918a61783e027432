"""Callers, clients of the wire, and a network to work on."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from cloud.api.policy import Caller
from cloud.networks import services
from cloud.networks.models import Network, Subnet

OURS, THEIRS = "a" * 32, "b" * 32


def caller(*roles: str, project: str | None = OURS) -> Caller:
    return Caller(
        user_id="u" * 32,
        user_name="someone",
        user_domain_id="default",
        project_id=project,
        project_name="project",
        roles=frozenset(roles),
    )


class Wire:
    """A client of the network service, as one caller."""

    def __init__(self, who: Caller) -> None:
        self.client = APIClient()
        self.client.force_authenticate(user=who)  # type: ignore[arg-type]

    def __call__(self, method: str, path: str, body: Any = None, status: int | None = None) -> Any:
        answer = getattr(self.client, method.lower())(f"/networking/v2.0{path}", body, format="json")
        assert answer.status_code == (status or answer.status_code), answer.content
        self.status = answer.status_code
        return answer.json() if answer.content else None


@pytest.fixture
def member(db: None) -> Wire:
    return Wire(caller("member"))


@pytest.fixture
def stranger(db: None) -> Wire:
    return Wire(caller("member", project=THEIRS))


@pytest.fixture
def reader(db: None) -> Wire:
    return Wire(caller("reader"))


@pytest.fixture
def admin(db: None) -> Wire:
    return Wire(caller("admin", project="c" * 32))


def network(name: str = "net", project: str = OURS, **fields: Any) -> Network:
    return services.create_network(project_id=project, name=name, **fields)


def subnet(on: Network, cidr: str = "10.1.0.0/24", **fields: Any) -> Subnet:
    return services.create_subnet(network_id=on.id, project_id=on.project_id, cidr=cidr, **fields)


@pytest.fixture
def net(db: None) -> Network:
    made = network()
    subnet(made)
    return made
