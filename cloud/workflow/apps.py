"""Django's name for this room."""

from django.apps import AppConfig


class WorkflowConfig(AppConfig):
    """The engine."""

    name = "cloud.workflow"
    label = "workflow"
    verbose_name = "Workflow"
