"""The verbs on domains, projects, users and roles. Whatever takes a right away revokes the tokens that carry it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction

from cloud.errors import BadRequest, Conflict, Forbidden, Unauthorized
from cloud.identity import tokens
from cloud.identity.models import DEFAULT_DOMAIN_ID, Domain, Project, Role, RoleAssignment, User


class NameTaken(Conflict):
    """Another object of the kind has this name."""

    code = "identity.name_taken"


@contextmanager
def _named(noun: str, name: str) -> Iterator[None]:
    """A transaction in which a broken unique constraint means that `name` is taken."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError:
        raise NameTaken(f"Conflict: there is a {noun} with the name {name!r} already.", name=name) from None


def _domain_for(domain_id: str | None) -> Domain:
    row = Domain.objects.filter(pk=domain_id or DEFAULT_DOMAIN_ID).first()
    if row is None:
        raise BadRequest(f"Invalid input for field/attribute domain_id. Value: {domain_id!r}. No such domain.")
    return row


# --- domains ----------------------------------------------------------------------------------------------------------
def create_domain(*, name: str, description: str = "", is_enabled: bool = True) -> Domain:
    """A new domain. NameTaken when there is one of that name."""
    with _named("domain", name):
        return Domain.objects.create(name=name, description=description, is_enabled=is_enabled)


def update_domain(
    *, domain: Domain, name: str | None = None, description: str | None = None, is_enabled: bool | None = None
) -> Domain:
    """Changes what is given. Disabling ends every token of the domain's users and projects. NameTaken."""
    if domain.pk == DEFAULT_DOMAIN_ID and is_enabled is False:
        raise Forbidden("The default domain cannot be disabled: the cloud's first admin is in it.")
    domain.name = domain.name if name is None else name
    domain.description = domain.description if description is None else description
    domain.is_enabled = domain.is_enabled if is_enabled is None else is_enabled
    with _named("domain", domain.name):
        domain.save(update_fields=["name", "description", "is_enabled"])
        if not domain.is_enabled:
            tokens.revoke(domain=domain)
    return domain


@transaction.atomic
def delete_domain(*, domain: Domain) -> None:
    """Deletes a disabled domain with its users and projects. Forbidden while it is enabled, and for the default one."""
    if domain.pk == DEFAULT_DOMAIN_ID or domain.is_enabled:
        raise Forbidden(f"Domain {domain.pk} cannot be deleted while it is enabled: disable it first.")
    tokens.revoke(domain=domain)
    domain.delete()


# --- projects ---------------------------------------------------------------------------------------------------------
def create_project(
    *, name: str, domain_id: str | None = None, description: str = "", is_enabled: bool = True
) -> Project:
    """A new project. NameTaken; BadRequest when there is no such domain."""
    domain = _domain_for(domain_id)
    with _named("project", name):
        return Project.objects.create(domain=domain, name=name, description=description, is_enabled=is_enabled)


def update_project(
    *, project: Project, name: str | None = None, description: str | None = None, is_enabled: bool | None = None
) -> Project:
    """Changes what is given. Disabling ends the project's tokens. NameTaken."""
    project.name = project.name if name is None else name
    project.description = project.description if description is None else description
    project.is_enabled = project.is_enabled if is_enabled is None else is_enabled
    with _named("project", project.name):
        project.save(update_fields=["name", "description", "is_enabled"])
        if not project.is_enabled:
            tokens.revoke(project=project)
    return project


def delete_project(*, project: Project) -> None:
    """Deletes the project, the roles held in it and its tokens. What it owns in other rooms stays, for an admin."""
    project.delete()


# --- users ------------------------------------------------------------------------------------------------------------
def _project_for(project_id: str | None) -> Project | None:
    if project_id is None:
        return None
    row = Project.objects.filter(pk=project_id).first()
    if row is None:
        raise BadRequest(
            f"Invalid input for field/attribute default_project_id. Value: {project_id!r}. No such project."
        )
    return row


def create_user(
    *,
    name: str,
    password: str | None = None,
    domain_id: str | None = None,
    email: str = "",
    description: str = "",
    is_enabled: bool = True,
    default_project_id: str | None = None,
) -> User:
    """A new user without any role; without a password it cannot log in. NameTaken; BadRequest for what is unknown."""
    domain, default_project = _domain_for(domain_id), _project_for(default_project_id)
    user = User(
        domain=domain,
        name=name,
        email=email,
        description=description,
        is_enabled=is_enabled,
        default_project=default_project,
    )
    user.set_password(password)
    with _named("user", name):
        user.save(force_insert=True)
    return user


def update_user(
    *,
    user: User,
    name: str | None = None,
    password: str | None = None,
    email: str | None = None,
    description: str | None = None,
    is_enabled: bool | None = None,
    default_project_id: str | None = None,
) -> User:
    """Changes what is given. Disabling the user and a new password end its tokens. NameTaken; BadRequest."""
    user.name = user.name if name is None else name
    user.email = user.email if email is None else email
    user.description = user.description if description is None else description
    user.is_enabled = user.is_enabled if is_enabled is None else is_enabled
    if default_project_id is not None:
        user.default_project = _project_for(default_project_id)
    if password is not None:
        user.set_password(password)
    with _named("user", user.name):
        user.save()
        if password is not None or not user.is_enabled:
            tokens.revoke(users=[user.pk])
    return user


def change_own_password(*, user: User, original: str, password: str) -> None:
    """A user's new password, proven by the old one; ends all its tokens. Unauthorized when the old one is wrong."""
    if not user.check_password(original):
        raise Unauthorized("The original password is wrong.")
    update_user(user=user, password=password)


def delete_user(*, user: User) -> None:
    """Deletes the user with its role assignments and tokens."""
    user.delete()


# --- roles ------------------------------------------------------------------------------------------------------------
def create_role(*, name: str, description: str = "") -> Role:
    """A new role. Policy knows admin, manager, member and reader; others can be held and mean nothing. NameTaken."""
    with _named("role", name):
        return Role.objects.create(name=name, description=description)


def update_role(*, role: Role, name: str | None = None, description: str | None = None) -> Role:
    """Changes what is given; a new name ends the tokens of those who hold the role. NameTaken."""
    is_renamed = name is not None and name != role.name
    role.name = role.name if name is None else name
    role.description = role.description if description is None else description
    with _named("role", role.name):
        role.save(update_fields=["name", "description"])
        if is_renamed:
            tokens.revoke(users=_holders(role))
    return role


@transaction.atomic
def delete_role(*, role: Role) -> None:
    """Deletes the role and takes it from all who hold it; their tokens end."""
    holders = _holders(role)
    role.delete()
    tokens.revoke(users=holders)


def _holders(role: Role) -> list[str]:
    """The users who hold the role, locked until the end of the transaction (see `tokens.issue`)."""
    held = RoleAssignment.objects.filter(role=role).values("user")
    return [user.pk for user in User.objects.select_for_update().filter(pk__in=held)]


@transaction.atomic
def assign_role(*, user: User, role: Role, project: Project | None = None, domain: Domain | None = None) -> None:
    """The user holds the role in the project, in the domain, or, when neither is given, in the system. Idempotent."""
    RoleAssignment.objects.get_or_create(
        user=user, role=role, project=project, domain=domain, is_system=project is None and domain is None
    )


@transaction.atomic
def unassign_role(*, user: User, role: Role, project: Project | None = None, domain: Domain | None = None) -> bool:
    """Takes the role from the user there and ends its tokens. False when it was not held."""
    User.objects.select_for_update().filter(pk=user.pk).first()
    deleted, _ = RoleAssignment.objects.filter(
        user=user, role=role, project=project, domain=domain, is_system=project is None and domain is None
    ).delete()
    if deleted:
        tokens.revoke(users=[user.pk])
    return bool(deleted)
