"""Facet `Images` without bytes: the cache holds a note of each image. `SIMULATED_FETCH=1` fetches for real."""

from __future__ import annotations

from pathlib import Path

from hypervisor import side_files
from hypervisor.driver import BaseImage, Progress
from hypervisor.image_cache import ImageCache
from hypervisor.instance_files import make_directory
from hypervisor.simulated.faults import Faults
from hypervisor.spec import ImageSource


class NotedImages:
    """Notes which images were asked for."""

    def __init__(self, base_dir: Path) -> None:
        self._base_dir = base_dir
        make_directory(base_dir)

    def fetch(self, image: ImageSource, progress: Progress) -> BaseImage:
        """After it the cache has a note of the image; the image service is not asked."""
        path = self._base_dir / image.sha512
        if not path.exists():
            side_files.write(path, {"image": image.id, "virtual_size": image.virtual_size_bytes}, durable=False)
        return BaseImage(path=str(path), disk_format=image.disk_format, virtual_size_bytes=image.virtual_size_bytes)

    def prune(self, older_than_days: float) -> list[str]:
        """Notes take no room."""
        return []


class SimulatedImages:
    """See `hypervisor.driver.Images`: notes, or a real cache when one is given; and faults."""

    def __init__(self, images: NotedImages | ImageCache, faults: Faults) -> None:
        self._images = images
        self._faults = faults

    def fetch(self, image: ImageSource, progress: Progress) -> BaseImage:
        """See `hypervisor.driver.Images.fetch`."""
        with self._faults.around("images.fetch", progress):
            return self._images.fetch(image, progress)

    def prune(self, older_than_days: float) -> list[str]:
        """See `hypervisor.image_cache.ImageCache.prune`."""
        return self._images.prune(older_than_days)
