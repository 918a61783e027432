"""Django's name for this room."""

from django.apps import AppConfig


class ImagesConfig(AppConfig):
    """Images and their bytes."""

    name = "cloud.images"
    label = "images"
    verbose_name = "Images"
