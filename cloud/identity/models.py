"""Domains, projects, users, roles, who holds which role where, and the tokens in force."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from django.utils import timezone

DEFAULT_DOMAIN_ID = "default"


def new_id() -> str:
    """An id in keystone's form: 32 hex digits."""
    return uuid.uuid4().hex


class Domain(models.Model):
    """A space of names for users and projects."""

    id = models.CharField(max_length=32, primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=255, unique=True)
    description = models.TextField(blank=True)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Project(models.Model):
    """What owns instances, images, networks and quotas."""

    id = models.CharField(max_length=32, primary_key=True, default=new_id, editable=False)
    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, default=DEFAULT_DOMAIN_ID, related_name="projects")
    name = models.CharField(max_length=255)
    description = models.TextField(blank=True)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["domain", "name"], name="one_project_name_per_domain")]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    """Finds and makes users by name; a bare name is one of the default domain."""

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(name=username, domain_id=DEFAULT_DOMAIN_ID)

    def create_user(self, name: str, password: str | None = None, **fields: Any) -> User:
        """A new user with its password hashed; without one, no password fits."""
        user = self.model(name=name, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, name: str, password: str | None = None, **fields: Any) -> User:
        """A user of the admin console with every permission there; roles in the cloud are apart."""
        Domain.objects.get_or_create(id=DEFAULT_DOMAIN_ID, defaults={"name": "Default"})
        return self.create_user(name, password, **{**fields, "is_staff": True, "is_superuser": True})


class User(AbstractBaseUser, PermissionsMixin):
    """A person or a program. The same row logs in to the admin console and asks for tokens.

    `is_staff` and `is_superuser` rule the admin console alone; what a user may do over REST is in its role assignments.
    """

    id = models.CharField(max_length=32, primary_key=True, default=new_id, editable=False)
    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, default=DEFAULT_DOMAIN_ID, related_name="users")
    name = models.CharField(max_length=255)
    email = models.CharField(max_length=255, blank=True)
    description = models.TextField(blank=True)
    is_enabled = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False, help_text="May log in to the admin console.")
    default_project = models.ForeignKey(
        Project, on_delete=models.SET_NULL, null=True, blank=True, related_name="default_of"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = UserManager()
    USERNAME_FIELD = "name"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["domain", "name"], name="one_user_name_per_domain")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:  # type: ignore[override]
        """Django's word for enabled."""
        return self.is_enabled


class Role(models.Model):
    """A name that policy knows: admin, manager, member, reader; others mean nothing to policy."""

    id = models.CharField(max_length=32, primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=255, unique=True)
    description = models.TextField(blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class RoleAssignment(models.Model):
    """A user holds a role in one project, in one domain, or in the system (the cloud as a whole)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="assignments")
    role = models.ForeignKey(Role, on_delete=models.CASCADE, related_name="assignments")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, blank=True, related_name="assignments")
    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, null=True, blank=True, related_name="assignments")
    is_system = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "role", "project"], condition=Q(project__isnull=False), name="one_role_in_project"
            ),
            models.UniqueConstraint(
                fields=["user", "role", "domain"], condition=Q(domain__isnull=False), name="one_role_in_domain"
            ),
            models.UniqueConstraint(fields=["user", "role"], condition=Q(is_system=True), name="one_role_in_system"),
            models.CheckConstraint(
                condition=(
                    Q(project__isnull=False, domain__isnull=True, is_system=False)
                    | Q(project__isnull=True, domain__isnull=False, is_system=False)
                    | Q(project__isnull=True, domain__isnull=True, is_system=True)
                ),
                name="assignment_has_one_scope",
            ),
        ]

    def __str__(self) -> str:
        where = f"project {self.project_id}" if self.project_id else f"domain {self.domain_id}"
        return f"{self.role_id} of {self.user_id} in {'the system' if self.is_system else where}"


class Token(models.Model):
    """A token in force, known by its hash alone: who reads this table can log in as nobody.

    Its roles are those at the time of issue; whatever takes one away deletes the tokens (`tokens.revoke`).
    """

    hash = models.CharField(max_length=64, unique=True, editable=False)  # SHA-256 of the secret, hex
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, blank=True, related_name="tokens")
    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, null=True, blank=True, related_name="tokens")
    is_system = models.BooleanField(default=False)
    roles = models.JSONField(default=list)  # [{id, name}]
    methods = models.JSONField(default=list)  # how it was asked for: password, token
    audit_ids = models.JSONField(default=list)  # its own, then that of the token it was asked for with
    issued_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-issued_at"]

    def __str__(self) -> str:
        return f"{self.hash[:8]}… of {self.user_id}"
