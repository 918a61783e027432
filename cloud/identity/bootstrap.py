"""What a fresh cloud has: the default domain, the roles, the project admin and the user admin. Repeatable."""

from __future__ import annotations

from django.db import transaction

from cloud.api.policy import ADMIN, MANAGER, MEMBER, READER
from cloud.errors import BadRequest
from cloud.identity.models import DEFAULT_DOMAIN_ID, Domain, Project, Role, User
from cloud.identity.services import assign_role

ROLES = (ADMIN, MANAGER, MEMBER, READER)


class NoAdminPassword(BadRequest):
    """The admin does not exist yet, and no password was given for it."""

    code = "identity.no_admin_password"


@transaction.atomic
def bootstrap(*, admin_password: str | None) -> bool:
    """Makes what is missing and changes nothing that is there. Returns whether the admin was made now.

    Raises NoAdminPassword when the admin has to be made and `admin_password` is empty.
    """
    domain, _ = Domain.objects.get_or_create(id=DEFAULT_DOMAIN_ID, defaults={"name": "Default"})
    roles = {name: Role.objects.get_or_create(name=name)[0] for name in ROLES}
    project, _ = Project.objects.get_or_create(
        domain=domain, name="admin", defaults={"description": "The cloud's own project."}
    )
    admin = User.objects.filter(domain=domain, name="admin").first()
    is_new = admin is None
    if admin is None:
        if not admin_password:
            raise NoAdminPassword("The user admin does not exist yet: give its password in ADMIN_PASSWORD.")
        admin = User.objects.create_superuser("admin", admin_password, domain=domain, default_project=project)
    assign_role(user=admin, role=roles[ADMIN], project=project)
    assign_role(user=admin, role=roles[ADMIN])
    return is_new
