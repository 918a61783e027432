"""The image cache beyond the contract: pruning, processes, full disks, what killed downloads leave."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.driver import BaseImage
from hypervisor.errors import NoSpace
from hypervisor.image_cache import ImageCache
from hypervisor.spec import ImageSource
from tests.contract import specs
from tests.contract.image_server import ImageServer

DAY = 86400


@pytest.fixture
def server() -> Iterator[ImageServer]:
    made = ImageServer()
    made.content = specs.RAW_BYTES
    with made.running():
        yield made


@pytest.fixture
def image(server: ImageServer) -> ImageSource:
    return specs.image(url=server.url)


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "base")


def fetch(cache: ImageCache, image: ImageSource) -> BaseImage:
    return cache.fetch(image, specs.Listener())


def unused_for(cache: ImageCache, image: ImageSource, days: float) -> None:
    side = cache.base_dir / f"{image.sha512}.json"
    then = side.stat().st_mtime - days * DAY
    os.utime(side, (then, then))


def test_an_image_that_nobody_used_for_days_is_pruned_with_all_its_files(cache: ImageCache, image: ImageSource) -> None:
    base = fetch(cache, image)
    unused_for(cache, image, 8)
    assert cache.prune(7) == [base.path]
    assert list(cache.base_dir.iterdir()) == []


def test_an_image_that_was_used_since_stays(cache: ImageCache, image: ImageSource) -> None:
    fetch(cache, image)
    unused_for(cache, image, 8)
    fetch(cache, image)
    assert cache.prune(7) == []


def test_an_image_that_a_disk_stands_on_stays(cache: ImageCache, image: ImageSource) -> None:
    base = fetch(cache, image)
    unused_for(cache, image, 8)
    assert cache.prune(7, {base.path}) == []
    assert dataclasses.replace(cache, bases_in_use=lambda: {base.path}).prune(7) == []


def test_an_image_that_is_being_fetched_stays(cache: ImageCache, image: ImageSource, server: ImageServer) -> None:
    fetch(cache, image)
    unused_for(cache, image, 8)
    (cache.base_dir / image.sha512).chmod(0o644)
    os.utime(cache.base_dir / image.sha512, (1, 1))  # to be verified, under the lock
    pruned: list[str] = []

    class Pruning(specs.Listener):
        def __call__(self, percent: int | None = None, message: str = "") -> None:
            pruned.extend(cache.prune(0))

    cache.fetch(image, Pruning())
    assert pruned == []


def test_an_image_is_downloaded_once_by_two_processes(
    cache: ImageCache, image: ImageSource, server: ImageServer
) -> None:
    script = (
        "import sys; from pathlib import Path; from hypervisor.image_cache import ImageCache; "
        "from tests.contract import specs; image = specs.image(url=sys.argv[2]); "
        "print(ImageCache(Path(sys.argv[1])).fetch(image, specs.Listener()).path)"
    )
    command = [sys.executable, "-c", script, str(cache.base_dir), image.url]
    server.gate.clear()
    root = Path(__file__).parents[3]
    children = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert server.asked.wait(30)
    server.gate.set()
    told = {child.communicate(timeout=30)[0].strip() for child in children}
    assert told == {str(cache.base_dir / image.sha512)}
    assert server.requests == 1


def test_what_a_killed_download_left_is_removed_by_the_next(cache: ImageCache, image: ImageSource) -> None:
    cache.base_dir.mkdir()
    (cache.base_dir / f"{image.sha512}.999999.part").write_bytes(b"half")
    fetch(cache, image)
    assert list(cache.base_dir.glob("*.part")) == []


def test_a_file_without_its_side_file_is_not_trusted(
    cache: ImageCache, image: ImageSource, server: ImageServer
) -> None:
    cache.base_dir.mkdir()
    (cache.base_dir / image.sha512).write_bytes(b"x" * specs.MIB)
    assert Path(fetch(cache, image).path).read_bytes() == specs.RAW_BYTES
    assert server.requests == 1


def test_a_full_disk_is_no_space_and_leaves_nothing(
    cache: ImageCache, image: ImageSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpace):
        fetch(cache, image)
    assert [path.suffix for path in cache.base_dir.iterdir()] == [".lock"]


def test_an_image_larger_than_the_room_is_not_even_asked_for(
    cache: ImageCache, image: ImageSource, server: ImageServer
) -> None:
    with pytest.raises(NoSpace):
        fetch(cache, dataclasses.replace(image, size_bytes=1 << 60))
    assert server.requests == 0
