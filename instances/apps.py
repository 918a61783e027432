"""Django's name for this room."""

from django.apps import AppConfig


class InstancesConfig(AppConfig):
    """Instances, flavors, key pairs, quotas."""

    name = "instances"
    label = "instances"
    verbose_name = "Instances"

    def ready(self) -> None:
        from instances import checks  # noqa: F401, PLC0415  (registers the check)
