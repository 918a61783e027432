"""Uploads and downloads: what is taken, what is refused and leaves nothing, signed addresses."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from cloud.images import signed_url, sweeps, uploads
from cloud.images.models import Image, ImageStatus
from tests.unit.identity.wire import Wire
from tests.unit.images import disks
from tests.unit.images.conftest import V2, created, status, uploaded


def left(store: Path) -> list[str]:
    """The files in the store."""
    return sorted(path.name for path in store.glob("*")) if store.exists() else []


def test_an_upload_makes_the_image_active_with_sizes_and_digests(ann: Wire, store: Path) -> None:
    image = created(ann)
    assert image["status"] == "queued"
    assert image["size"] is image["checksum"] is image["virtual_size"] is None
    data = disks.qcow2(virtual_size=10 * disks.MIB)
    reply = uploaded(ann, image, data)
    assert (reply.status_code, reply.content) == (204, b"")
    shown = ann.get(f"{V2}/{image['id']}").json()
    assert shown["status"] == "active"
    assert shown["size"] == len(data)
    assert shown["virtual_size"] == 10 * disks.MIB
    assert shown["checksum"] == hashlib.md5(data).hexdigest()
    assert shown["os_hash_algo"] == "sha512"
    assert shown["os_hash_value"] == hashlib.sha512(data).hexdigest()
    assert left(store) == [image["id"]]
    assert (store / image["id"]).read_bytes() == data


@pytest.mark.parametrize(
    ("disk_format", "data"), [("raw", disks.raw()), ("raw", b"hello" * 100), ("iso", disks.iso()), ("raw", b"x")]
)
def test_raw_and_iso_are_taken_with_their_size_as_virtual_size(ann: Wire, disk_format: str, data: bytes) -> None:
    image = created(ann, disk_format=disk_format)
    assert uploaded(ann, image, data).status_code == 204
    assert ann.get(f"{V2}/{image['id']}").json()["virtual_size"] == len(data)


@pytest.mark.parametrize(
    ("disk_format", "make", "reason"),
    [
        ("qcow2", disks.with_backing_file, "backing_file"),
        ("qcow2", disks.with_data_file, "data_file"),
        ("qcow2", lambda: disks.qcow2(incompatible=1 << 40), "unknown_features"),
        ("qcow2", lambda: disks.qcow2(version=1), "unknown_features"),
        ("qcow2", lambda: disks.qcow2(virtual_size=2**63 + 1), "virtual size"),
        ("qcow2", lambda: disks.qcow2(virtual_size=0), "virtual size"),
        ("qcow2", disks.raw, "disk_format 'qcow2'"),
        ("qcow2", lambda: disks.qcow2()[:100], "disk_format 'qcow2'"),
        ("qcow2", disks.vmdk, "disk_format 'qcow2'"),
        ("raw", disks.qcow2, "'qcow2'"),
        ("raw", disks.with_backing_file, "'qcow2'"),
        ("raw", disks.vmdk, "'vmdk'"),
        ("raw", disks.iso, "'iso'"),
        ("iso", disks.raw, "disk_format 'iso'"),
        ("raw", lambda: b"", "empty"),
    ],
)
def test_bytes_that_are_not_what_was_declared_are_refused_and_leave_nothing(
    ann: Wire, store: Path, disk_format: str, make: Callable[[], bytes], reason: str
) -> None:
    image = created(ann, disk_format=disk_format)
    reply = uploaded(ann, image, make())
    assert reply.status_code == 400
    assert set(reply.json()) == {"message", "code", "title"}
    assert reason in reply.json()["message"]
    assert status(ann, image) == "queued"
    assert left(store) == []
    good = {"qcow2": disks.qcow2, "raw": disks.raw, "iso": disks.iso}[disk_format]()
    assert uploaded(ann, image, good).status_code == 204


def test_a_second_upload_is_a_conflict_and_changes_nothing(ann: Wire, store: Path) -> None:
    image = created(ann, disk_format="raw")
    assert uploaded(ann, image, b"one").status_code == 204
    assert uploaded(ann, image, b"two").status_code == 409
    assert (store / image["id"]).read_bytes() == b"one"


def test_only_one_upload_runs_at_a_time(ann: Wire, store: Path) -> None:
    image = created(ann, disk_format="raw")
    replies: list[Any] = []

    def read(size: int) -> bytes:
        if replies:
            return b""
        replies.append(uploaded(ann, image, b"the other one"))
        return b"the first one"

    uploads.upload(image=Image.objects.get(pk=image["id"]), body=uploads.Body(read=read, length=None))
    assert replies[0].status_code == 409
    assert "saving" in replies[0].json()["message"]
    assert (store / image["id"]).read_bytes() == b"the first one"


def test_an_image_deleted_during_its_upload_stays_deleted(ann: Wire, store: Path) -> None:
    image = created(ann, disk_format="raw")
    chunks = [b"a" * 10, b"b" * 10]

    def read(size: int) -> bytes:
        if len(chunks) == 1:
            assert ann.delete(f"{V2}/{image['id']}").status_code == 204
        return chunks.pop() if chunks else b""

    with pytest.raises(uploads.NotUploadable):
        uploads.upload(image=Image.objects.get(pk=image["id"]), body=uploads.Body(read=read, length=None))
    assert Image.objects.get(pk=image["id"]).status == ImageStatus.DELETED
    assert left(store) == []


class _BadChunk(Exception):
    """A server's own error for chunks that make no sense."""


@pytest.mark.parametrize("error", [OSError("No more data after: b''"), _BadChunk("Invalid chunk size: b'zz'"), None])
def test_a_client_that_goes_away_leaves_the_image_queued(ann: Wire, store: Path, error: Exception | None) -> None:
    image = created(ann, disk_format="raw")
    chunks = [b"some bytes"]

    def read(size: int) -> bytes:
        if chunks:
            return chunks.pop()
        if error is not None:
            raise error
        return b""

    body = uploads.Body(read=read, length=None if error else 1000)
    with pytest.raises(uploads.UploadCutOff):
        uploads.upload(image=Image.objects.get(pk=image["id"]), body=body)
    assert status(ann, image) == "queued"
    assert left(store) == []


class _Terminated(io.BytesIO):
    """A server's input that ends where the chunks end, and counts the largest read."""

    largest = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size > 0, "an upload is never read whole"
        self.largest = max(self.largest, size)
        return super().read(size)


def test_a_chunked_upload_is_read_from_the_servers_input_piece_by_piece(ann: Wire, store: Path) -> None:
    image = created(ann, disk_format="raw")
    data = disks.raw(3 * disks.MIB)
    source = _Terminated(data)
    reply = Client().generic(
        "PUT",
        f"{V2}/{image['id']}/file",
        b"",
        content_type="application/octet-stream",
        headers={"X-Auth-Token": ann.token, "Transfer-Encoding": "chunked"},
        CONTENT_TYPE="application/octet-stream",
        **{"wsgi.input": source, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert reply.status_code == 204
    assert (store / image["id"]).read_bytes() == data
    assert source.largest <= disks.MIB


def test_an_upload_over_the_limit_is_413_before_and_during(ann: Wire, store: Path, settings: Any) -> None:
    settings.IMAGE_MAX_BYTES = 1000
    image = created(ann, disk_format="raw")
    reply = uploaded(ann, image, b"x" * 1001)
    assert reply.status_code == 413
    assert "1000" in reply.json()["message"]
    endless = uploads.Body(read=lambda size: b"x" * size, length=None)
    with pytest.raises(uploads.TooLarge):
        uploads.upload(image=Image.objects.get(pk=image["id"]), body=endless)
    assert status(ann, image) == "queued"
    assert left(store) == []


def test_an_upload_needs_octets_formats_and_a_right(ann: Wire, rita: Wire, bob: Wire, admin: Wire) -> None:
    image = created(ann)
    path = f"{V2}/{image['id']}/file"
    assert ann.put(path, {"a": 1}).status_code == 415
    assert uploaded(bob, image, disks.qcow2()).status_code == 404
    assert uploaded(rita, image, disks.qcow2()).status_code == 403
    assert uploaded(Wire(), image, disks.qcow2()).status_code == 401
    public = created(admin, visibility="public")
    assert uploaded(ann, public, disks.qcow2()).status_code == 403
    bare = created(ann, disk_format=None)
    reply = uploaded(ann, bare, disks.qcow2())
    assert reply.status_code == 400
    assert "disk_format" in reply.json()["message"]
    assert uploaded(ann, {"id": "im1"}, b"x").status_code == 404


def test_a_store_that_cannot_be_written_is_a_503_and_the_image_stays_queued(
    ann: Wire, settings: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    settings.IMAGES_DIR = tmp_path / "file" / "images"
    image = created(ann, disk_format="raw")
    reply = uploaded(ann, image, b"data")
    assert reply.status_code == 503
    assert status(ann, image) == "queued"


def test_a_download_streams_the_bytes_with_their_md5(ann: Wire, bob: Wire) -> None:
    image = created(ann, disk_format="raw")
    assert ann.get(f"{V2}/{image['id']}/file").status_code == 204
    data = disks.raw(300_000)
    uploaded(ann, image, data)
    reply = ann.get(f"{V2}/{image['id']}/file")
    assert reply.status_code == 200
    assert reply["Content-MD5"] == hashlib.md5(data).hexdigest()
    assert reply["Content-Length"] == str(len(data))
    assert reply["Content-Type"] == "application/octet-stream"
    assert reply.streaming
    assert b"".join(reply.streaming_content) == data
    assert bob.get(f"{V2}/{image['id']}/file").status_code == 404


def test_lost_bytes_are_a_404_that_says_so(ann: Wire, store: Path) -> None:
    image = created(ann, disk_format="raw")
    uploaded(ann, image, b"data")
    (store / image["id"]).unlink()
    reply = ann.get(f"{V2}/{image['id']}/file")
    assert reply.status_code == 404
    assert "not in the image store" in reply.json()["message"]


# --- signed addresses -------------------------------------------------------------------------------------------------
@pytest.fixture
def image(ann: Wire) -> dict[str, Any]:
    """An active private image of blue."""
    image = created(ann, disk_format="raw", visibility="private")
    assert uploaded(ann, image, b"private bytes").status_code == 204
    return image


def address(image: dict[str, Any], seconds: float = 60) -> str:
    """A signed address without its host."""
    parts = urlsplit(signed_url.download_url(image["id"], timezone.now() + timedelta(seconds=seconds)))
    return f"{parts.path}?{parts.query}"


def test_a_signed_address_opens_its_image_without_a_token(image: dict[str, Any], settings: Any) -> None:
    reply = Wire().get(address(image))
    assert reply.status_code == 200
    assert b"".join(reply.streaming_content) == b"private bytes"
    settings.IMAGES_URL = "http://images.example:9292"
    assert signed_url.download_url(image["id"], timezone.now()).startswith(
        f"http://images.example:9292{V2}/{image['id']}/file?"
    )


def test_a_signed_address_ends(image: dict[str, Any]) -> None:
    reply = Wire().get(address(image, seconds=-2))
    assert reply.status_code == 403
    assert "expired" in reply.json()["message"]


def test_a_signed_address_that_was_tampered_with_opens_nothing(ann: Wire, image: dict[str, Any]) -> None:
    other = created(ann, disk_format="raw")
    uploaded(ann, other, b"other bytes")
    good = address(image)
    path, _, query = good.partition("?")
    expires, signature = (part.partition("=")[2] for part in query.split("&"))
    for bad in (
        good.replace(image["id"], other["id"]),
        f"{path}?expires={int(expires) + 1}&signature={signature}",
        f"{path}?expires={expires}&signature={signature[:-1]}x",
        f"{path}?expires={expires}&signature=",
        f"{path}?signature={signature}",
        f"{path}?expires=never&signature={signature}",
        f"{path}?expires={'9' * 400}&signature={signature}",
        f"{path}?expires=%D9%A3&signature=%00",
    ):
        assert Wire().get(bad).status_code == 403, bad
    assert Wire().get(f"{path}?expires={expires}").status_code == 401


def test_a_signed_address_opens_the_bytes_for_reading_alone(image: dict[str, Any]) -> None:
    good = address(image)
    assert Wire().request("PUT", good, b"x", content_type="application/octet-stream").status_code == 403
    assert Wire().get(good.replace("/file?", "?")).status_code == 401
    assert Wire().delete(good.replace("/file?", "?")).status_code == 401


def test_a_signed_address_of_another_cloud_is_refused(image: dict[str, Any], settings: Any) -> None:
    good = address(image)
    settings.SECRET_KEY = "another cloud's"
    assert Wire().get(good).status_code == 403


def test_a_signed_address_of_a_deleted_image_is_404(ann: Wire, image: dict[str, Any]) -> None:
    good = address(image)
    ann.delete(f"{V2}/{image['id']}")
    assert Wire().get(good).status_code == 404


# --- deletion and sweeps ----------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_deleting_an_image_removes_its_bytes(ann: Wire, store: Path, image: dict[str, Any]) -> None:
    assert left(store) == [image["id"]]
    assert ann.delete(f"{V2}/{image['id']}").status_code == 204
    assert left(store) == []
    assert ann.get(f"{V2}/{image['id']}").status_code == 404
    assert ann.delete(f"{V2}/{image['id']}").status_code == 404


def test_deleted_rows_are_kept_for_the_retention_and_then_purged(
    ann: Wire, image: dict[str, Any], settings: Any, store: Path
) -> None:
    settings.IMAGE_RETENTION_DAYS = 10
    ann.delete(f"{V2}/{image['id']}")
    now = timezone.now()
    assert sweeps.purge_deleted_images(now + timedelta(days=9)) == 0
    assert Image.objects.filter(pk=image["id"]).exists()
    assert sweeps.purge_deleted_images(now + timedelta(days=11)) == 1
    assert not Image.objects.filter(pk=image["id"]).exists()
    assert left(store) == []


def test_an_abandoned_upload_goes_back_to_queued_and_leaves_nothing(ann: Wire, store: Path) -> None:
    image = created(ann, disk_format="raw")
    row = Image.objects.get(pk=image["id"])
    upload_id = uploads._begin(row)
    store.mkdir()
    part = store / f"{image['id']}.{upload_id}.part"
    part.write_bytes(b"half")
    now = timezone.now()
    assert sweeps.reset_abandoned_uploads(now + timedelta(minutes=10)) == 0
    assert status(ann, image) == "saving"
    assert part.exists()
    assert sweeps.reset_abandoned_uploads(now + timedelta(hours=3)) == 1
    assert status(ann, image) == "queued"
    assert left(store) == []
    assert uploaded(ann, image, b"again").status_code == 204


def test_parts_that_belong_to_no_upload_are_removed_and_other_files_stay(ann: Wire, store: Path) -> None:
    image = created(ann, disk_format="raw")
    uploaded(ann, image, b"data")
    (store / f"{image['id']}.4b2f2a2e-6d0b-4a83-9e0f-000000000000.part").write_bytes(b"lost")
    (store / "strange.part").write_bytes(b"not ours")
    sweeps.reset_abandoned_uploads(timezone.now() + timedelta(hours=3))
    assert left(store) == [image["id"], "strange.part"]
