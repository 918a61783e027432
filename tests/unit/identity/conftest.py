"""A cloud with an admin, and people with clients that speak JSON."""

from __future__ import annotations

import pytest

from cloud.identity.bootstrap import bootstrap
from cloud.identity.models import Project, Role, User
from cloud.identity.services import assign_role, create_project, create_user
from tests.unit.identity.wire import Wire

PASSWORD = "correct horse"


@pytest.fixture
def cloud(db: None) -> None:
    """A fresh cloud."""
    bootstrap(admin_password=PASSWORD)


@pytest.fixture
def admin(cloud: None) -> Wire:
    """The admin, logged in to the project admin."""
    return Wire.logged_in("admin", PASSWORD, project="admin")


@pytest.fixture
def project(cloud: None) -> Project:
    return create_project(name="blue")


@pytest.fixture
def user(project: Project) -> User:
    """A member of the project blue."""
    user = create_user(name="ann", password=PASSWORD, email="ann@example.org")
    assign_role(user=user, role=Role.objects.get(name="member"), project=project)
    return user


@pytest.fixture
def member(user: User) -> Wire:
    """The member, logged in to the project blue."""
    return Wire.logged_in("ann", PASSWORD, project="blue")
