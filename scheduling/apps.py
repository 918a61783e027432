"""Django's name for this room, and its check at start."""

from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    """Compute nodes, allocations and the scheduler."""

    name = "scheduling"
    verbose_name = "Scheduling"

    def ready(self) -> None:
        from scheduling import checks  # noqa: F401, PLC0415  (registers the check)
