"""Identity in the admin console. Changes go through services, so that tokens end as they do over REST."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, AdminUserCreationForm, UserChangeForm
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from cloud.identity import services, tokens
from cloud.identity.models import Domain, Project, Role, RoleAssignment, Token, User


@admin.register(Domain)
class DomainAdmin(admin.ModelAdmin):
    """Domains."""

    list_display = ("name", "id", "is_enabled", "description", "created_at")
    list_filter = ("is_enabled",)
    search_fields = ("name", "id")
    readonly_fields = ("id", "created_at")

    def save_model(self, request: HttpRequest, obj: Domain, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if not obj.is_enabled:
                tokens.revoke(domain=obj)

    def has_delete_permission(self, request: HttpRequest, obj: Domain | None = None) -> bool:
        """Only a disabled domain is deleted, as over REST; so never many at once."""
        return super().has_delete_permission(request, obj) and obj is not None and not obj.is_enabled


class AssignmentInline(admin.TabularInline):
    """The roles held, read-only: they are given and taken on their own page."""

    model = RoleAssignment
    extra = 0
    fields = ("user", "role", "project", "domain", "is_system")
    readonly_fields = fields
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    """Projects."""

    list_display = ("name", "id", "domain", "is_enabled", "description", "created_at")
    list_filter = ("is_enabled", "domain")
    list_select_related = ("domain",)
    search_fields = ("name", "id", "description")
    readonly_fields = ("id", "created_at")
    inlines = (AssignmentInline,)

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if not obj.is_enabled:
                tokens.revoke(project=obj)


class UserCreationForm(AdminUserCreationForm):
    """A new user with its first password."""

    class Meta:
        model = User
        fields = ("domain", "name")
        field_classes: dict[str, Any] = {}


class UserForm(UserChangeForm):
    """A user without its password, which has a page of its own."""

    class Meta:
        model = User
        fields = "__all__"
        field_classes: dict[str, Any] = {}


class PasswordForm(AdminPasswordChangeForm):
    """A new password set by an admin; the user's tokens end."""

    def save(self, commit: bool = True) -> Any:
        with transaction.atomic():
            user = super().save(commit)
            tokens.revoke(users=[user.pk])
        return user


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Users: Django's forms over our fields."""

    form = UserForm
    add_form = UserCreationForm
    change_password_form = PasswordForm
    list_display = ("name", "id", "domain", "is_enabled", "is_staff", "email", "last_login")
    list_filter = ("is_enabled", "is_staff", "is_superuser", "domain")
    list_select_related = ("domain",)
    search_fields = ("name", "id", "email")
    ordering = ("name",)
    raw_id_fields = ("default_project",)
    readonly_fields = ("id", "last_login", "created_at")
    inlines = (AssignmentInline,)
    fieldsets = (
        (None, {"fields": ("id", "domain", "name", "password")}),
        ("About", {"fields": ("email", "description", "default_project")}),
        ("Rights", {"fields": ("is_enabled", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Times", {"fields": ("last_login", "created_at")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("domain", "name", "usable_password", "password1", "password2")}),
    )

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        return super().get_inlines(request, obj) if obj else ()

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if not obj.is_enabled:
                tokens.revoke(users=[obj.pk])


@admin.register(Role)
class RoleAdmin(admin.ModelAdmin):
    """Roles."""

    list_display = ("name", "id", "description")
    search_fields = ("name", "id")
    readonly_fields = ("id",)

    def delete_model(self, request: HttpRequest, obj: Role) -> None:
        services.delete_role(role=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Role]) -> None:
        for role in queryset:
            services.delete_role(role=role)

    def save_model(self, request: HttpRequest, obj: Role, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if change and "name" in form.changed_data:
                tokens.revoke(users=list(obj.assignments.values_list("user", flat=True)))


@admin.register(RoleAssignment)
class RoleAssignmentAdmin(admin.ModelAdmin):
    """Who holds which role where. Made and deleted, never changed."""

    list_display = ("user", "role", "project", "domain", "is_system")
    list_filter = ("role", "is_system")
    list_select_related = ("user", "role", "project", "domain")
    search_fields = ("user__name", "user__id", "project__name", "project__id")
    raw_id_fields = ("user", "project")

    def has_change_permission(self, request: HttpRequest, obj: RoleAssignment | None = None) -> bool:
        return False

    def delete_model(self, request: HttpRequest, obj: RoleAssignment) -> None:
        services.unassign_role(user=obj.user, role=obj.role, project=obj.project, domain=obj.domain)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[RoleAssignment]) -> None:
        for assignment in queryset:
            self.delete_model(request, assignment)


@admin.register(Token)
class TokenAdmin(admin.ModelAdmin):
    """Tokens in force, to see and to end; of the hash only its start is shown."""

    list_display = ("prefix", "user", "project", "is_system", "role_names", "issued_at", "expires_at")
    list_filter = ("is_system", "expires_at")
    list_select_related = ("user", "project")
    search_fields = ("user__name", "user__id", "project__name", "project__id")
    fields = ("prefix", "user", "project", "domain", "is_system", "role_names", "methods", "issued_at", "expires_at")
    readonly_fields = fields

    @admin.display(description="hash")
    def prefix(self, token: Token) -> str:
        return f"{token.hash[:8]}…"

    @admin.display(description="roles")
    def role_names(self, token: Token) -> str:
        return ", ".join(role["name"] for role in token.roles)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        return False
