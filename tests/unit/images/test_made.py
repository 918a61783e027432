"""Images that the cloud makes itself: bytes that hosts bring by a signed address, and what becomes of them."""

from __future__ import annotations

import hashlib
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from cloud.errors import BadRequest
from cloud.images import made, signed_url, sweeps, uploads
from cloud.images.models import Image, ImageStatus
from tests.unit.identity.wire import Wire
from tests.unit.images import disks
from tests.unit.images.conftest import V2
from tests.unit.images.test_bytes import left

DATA = disks.qcow2(virtual_size=10 * disks.MIB)
SHA512 = hashlib.sha512(DATA).hexdigest()


@pytest.fixture
def image(cloud: None) -> Image:
    """A queued image of nobody's project in particular."""
    return made.queue_image(project_id="a" * 32, name="snap", min_disk=1, min_ram=0, properties={"k": "v"})


def address(image: Image, seconds: float = 60) -> str:
    parts = urlsplit(signed_url.upload_url(image.pk, timezone.now() + timedelta(seconds=seconds)))
    return f"{parts.path}?{parts.query}"


def bring(url: str, data: bytes = DATA, sha512: str = SHA512) -> Any:
    headers = {"X-Image-Sha512": sha512}
    return Wire().request("PUT", url, data, content_type="application/octet-stream", **headers)


def content(data: bytes = DATA) -> made.Content:
    return made.Content(
        size=len(data),
        virtual_size=10 * disks.MIB,
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        sha512=hashlib.sha512(data).hexdigest(),
    )


def status(image: Image) -> str:
    return Image.objects.get(pk=image.pk).status


def test_bytes_that_a_host_brought_become_an_image_when_they_are_published(image: Image, store: Path) -> None:
    assert bring(address(image)).status_code == 204
    assert (status(image), left(store)) == (ImageStatus.SAVING, [str(image.pk)])
    for _ in range(2):
        made.publish(image.pk, content(), is_noted=False)
        row = Image.objects.get(pk=image.pk)
        assert (row.status, row.size, row.virtual_size) == (ImageStatus.ACTIVE, len(DATA), 10 * disks.MIB)
        assert (row.checksum, row.os_hash_value, row.visibility) == (content().md5, SHA512, "private")


def test_bytes_that_are_there_already_are_taken_for_brought(image: Image, store: Path) -> None:
    for _ in range(2):
        assert bring(address(image)).status_code == 204
    made.publish(image.pk, content(), is_noted=False)
    assert bring(address(image)).status_code == 204
    assert (status(image), left(store)) == (ImageStatus.ACTIVE, [str(image.pk)])


def test_an_upload_that_a_dead_host_began_is_taken_over_and_its_bytes_are_not_kept(image: Image, store: Path) -> None:
    pieces = [DATA[:1000]]

    def read(size: int) -> bytes:
        if pieces:
            return pieces.pop()
        assert bring(address(image)).status_code == 204  # the host came back
        return b""

    with pytest.raises(uploads.NotUploadable):
        uploads.receive(image=image, body=uploads.Body(read=read, length=None), sha512="")
    assert left(store) == [str(image.pk)]
    made.publish(image.pk, content(), is_noted=False)
    assert (store / str(image.pk)).read_bytes() == DATA


def test_other_bytes_than_the_host_computed_are_refused(image: Image, store: Path) -> None:
    reply = bring(address(image), sha512="0" * 128)
    assert reply.status_code == 400
    assert "SHA-512" in reply.json()["message"]
    assert (status(image), left(store)) == (ImageStatus.QUEUED, [])


def test_a_qcow2_that_names_another_file_is_refused_from_hosts_too(image: Image, store: Path) -> None:
    data = disks.with_backing_file()
    assert bring(address(image), data, hashlib.sha512(data).hexdigest()).status_code == 400
    assert left(store) == []


def test_an_address_is_for_one_method_one_image_and_a_while(image: Image, store: Path) -> None:
    other = made.queue_image(project_id="a" * 32, name="other", min_disk=0, min_ram=0, properties={})
    assert bring(address(image, seconds=-1)).status_code == 403
    assert bring(address(image).replace(str(image.pk), str(other.pk))).status_code == 403
    reading = urlsplit(signed_url.download_url(image.pk, timezone.now() + timedelta(seconds=60)))
    assert bring(f"{reading.path}?{reading.query}").status_code == 403
    assert Wire().get(address(image)).status_code == 403
    assert (status(image), left(store)) == (ImageStatus.QUEUED, [])


def test_an_image_that_was_deleted_takes_no_bytes_and_is_not_published(image: Image, store: Path) -> None:
    assert bring(address(image)).status_code == 204
    made.drop(image.pk)
    made.drop(image.pk)
    assert bring(address(image)).status_code == 404
    with pytest.raises(made.ImageGone):
        made.publish(image.pk, content(), is_noted=False)
    with pytest.raises(made.ImageGone, match="deleted"):
        made.require_unfinished(image.pk)
    assert status(image) == ImageStatus.DELETED


@pytest.mark.django_db(transaction=True)
def test_a_dropped_image_leaves_no_bytes(image: Image, store: Path) -> None:
    assert bring(address(image)).status_code == 204
    made.drop(image.pk)
    assert left(store) == []


def test_an_image_whose_bytes_never_came_or_are_others_is_not_published(image: Image, store: Path) -> None:
    with pytest.raises(made.ImageGone):
        made.publish(image.pk, content(), is_noted=False)
    assert bring(address(image)).status_code == 204
    with pytest.raises(made.ImageGone):
        made.publish(image.pk, content(b"others"), is_noted=False)
    assert status(image) == ImageStatus.SAVING


def test_brought_bytes_wait_for_their_action_however_long(image: Image, store: Path) -> None:
    assert bring(address(image)).status_code == 204
    sweeps.reset_abandoned_uploads(timezone.now() + timedelta(days=9))
    assert (status(image), left(store)) == (ImageStatus.SAVING, [str(image.pk)])


def test_a_note_is_published_without_bytes_and_its_download_is_404(image: Image, admin: Wire, store: Path) -> None:
    made.publish(image.pk, content(), is_noted=True)
    assert status(image) == ImageStatus.ACTIVE
    assert admin.get(f"{V2}/{image.pk}/file").status_code == 404


def test_too_many_properties_are_refused(cloud: None) -> None:
    many = {f"k{number}": "v" for number in range(129)}
    with pytest.raises(BadRequest, match="129 properties"):
        made.queue_image(project_id="a" * 32, name="x", min_disk=0, min_ram=0, properties=many)
    assert not Image.objects.exists()


def backup(instance_id: uuid.UUID, name: str, project: str = "a" * 32, backup_type: str = "daily") -> Image:
    properties = {"image_type": "backup", "backup_type": backup_type, "instance_uuid": str(instance_id)}
    row = made.queue_image(project_id=project, name=name, min_disk=0, min_ram=0, properties=properties)
    Image.objects.filter(pk=row.pk).update(status=ImageStatus.ACTIVE)
    return row


def alive() -> set[str]:
    return set(Image.objects.exclude(status=ImageStatus.DELETED).values_list("name", flat=True))


@pytest.mark.parametrize(("keep", "kept"), [(9, {"1", "2", "3"}), (2, {"2", "3"}), (0, set())])
def test_rotation_drops_the_oldest_of_that_instance_and_type_alone(cloud: None, keep: int, kept: set[str]) -> None:
    one, other = uuid.uuid4(), uuid.uuid4()
    for name in ("1", "2", "3"):
        backup(one, name)
    backup(one, "weekly", backup_type="weekly")
    backup(other, "another's")
    backup(one, "forged", project="b" * 32)
    for _ in range(2):
        made.rotate_backups(project_id="a" * 32, instance_id=one, backup_type="daily", keep=keep)
        assert alive() == {*kept, "weekly", "another's", "forged"}


def test_rotation_spares_a_protected_backup(cloud: None) -> None:
    one = uuid.uuid4()
    for name in ("1", "2"):
        backup(one, name)
    Image.objects.filter(name="1").update(is_protected=True)
    made.rotate_backups(project_id="a" * 32, instance_id=one, backup_type="daily", keep=1)
    assert alive() == {"1", "2"}
