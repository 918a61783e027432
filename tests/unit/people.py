"""A bootstrapped cloud and its people: an admin, ann and rita of the project blue, bob of red."""

from __future__ import annotations

import pytest

from cloud.identity.bootstrap import bootstrap
from cloud.identity.models import Project, Role
from cloud.identity.services import assign_role, create_project, create_user
from tests.unit.identity.wire import Wire

PASSWORD = "correct horse"


@pytest.fixture
def cloud(db: None) -> None:
    bootstrap(admin_password=PASSWORD)


@pytest.fixture
def admin(cloud: None) -> Wire:
    return Wire.logged_in("admin", PASSWORD, project="admin")


def person(name: str, project: str, role: str) -> Wire:
    """A client logged in to a project, which is made when it is missing."""
    home = Project.objects.filter(name=project).first() or create_project(name=project)
    user = create_user(name=name, password=PASSWORD)
    assign_role(user=user, role=Role.objects.get(name=role), project=home)
    return Wire.logged_in(name, PASSWORD, project=project)


@pytest.fixture
def ann(cloud: None) -> Wire:
    """A member of blue."""
    return person("ann", "blue", "member")


@pytest.fixture
def rita(cloud: None) -> Wire:
    """A reader of blue."""
    return person("rita", "blue", "reader")


@pytest.fixture
def bob(cloud: None) -> Wire:
    """A member of red."""
    return person("bob", "red", "member")
