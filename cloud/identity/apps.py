"""Django's name for this room."""

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    """Domains, projects, users, roles, tokens."""

    name = "cloud.identity"
    label = "identity"
    verbose_name = "Identity"
