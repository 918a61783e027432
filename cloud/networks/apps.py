"""Django's name for this room."""

from django.apps import AppConfig


class NetworksConfig(AppConfig):
    """Networks, subnets and ports."""

    name = "cloud.networks"
    label = "networks"
    verbose_name = "Networks"
