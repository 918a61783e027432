"""An upload: queued → saving → active, or back to queued with nothing left. One at a time per image.

A host's upload (`receive`) ends one step earlier: the bytes are in the store and the row says what they are, and the
image stays saving until its action publishes it (`made.py`).

No transaction is open while bytes come; the row's `upload_id` says which upload may finish.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cloud.errors import BadRequest, Conflict, TooLarge
from cloud.images import store
from cloud.images.formats import ImageRefused, Inspection
from cloud.images.models import Image, ImageStatus

log = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 64 * 1024**3
_SEEN_EVERY_SECONDS = 30.0


class NotUploadable(Conflict):
    """The image has its bytes, or another upload of it is running."""

    code = "image.not_uploadable"


class UploadCutOff(BadRequest):
    """The client's bytes ended too early."""

    code = "image.upload_cut_off"


@dataclass(frozen=True, kw_only=True)
class Body:
    """The bytes of a request: `read(n)` gives at most n, none at the end; `length` when the client said it."""

    read: Callable[[int], bytes]
    length: int | None


class WrongChecksum(BadRequest):
    """The bytes that came are not those that the host meant to send."""

    code = "image.wrong_checksum"


def upload(*, image: Image, body: Body) -> None:
    """Takes the bytes of a queued image, checks that they are what was declared, and makes the image active.

    Raises NotUploadable, BadRequest (formats not declared), ImageRefused, UploadCutOff, TooLarge, StoreFailed: the
    image is queued as before, or deleted if it was deleted meanwhile, and no byte is kept.
    """
    _upload(image, body, ImageStatus.ACTIVE)


def receive(*, image: Image, body: Body, sha512: str) -> None:
    """Takes the bytes that a host made for a queued image and keeps them for the action that will publish it.

    `sha512`: what the host computed, hex. Bytes that are here already are read and dropped. An upload that was begun
    and not finished, by a host that died, is taken over: its bytes are not kept. Raises what `upload` raises, and
    WrongChecksum.
    """
    if is_received(image, sha512):
        while body.read(store.CHUNK_BYTES):
            pass  # a client that is still sending would take an early answer for a broken connection
        return
    _upload(image, body, ImageStatus.SAVING, sha512)


def is_received(image: Image, sha512: str) -> bool:
    """Whether the bytes with that checksum are in the store, published or not."""
    return bool(sha512) and image.upload_id is None and image.os_hash_value == sha512


def _upload(image: Image, body: Body, becomes: ImageStatus, sha512: str = "") -> None:
    limit = int(getattr(settings, "IMAGE_MAX_BYTES", DEFAULT_MAX_BYTES))
    if body.length is not None and body.length > limit:
        raise _too_large(body.length, limit)
    for field in ("disk_format", "container_format"):
        if not getattr(image, field):
            raise BadRequest(f"Image {image.pk} has no {field}: set it before the upload.", field=field)
    takes_from = (ImageStatus.QUEUED,) if becomes == ImageStatus.ACTIVE else (ImageStatus.QUEUED, ImageStatus.SAVING)
    upload_id = _begin(image, takes_from)
    is_done = False
    try:
        received, virtual_size = _take(image, upload_id, body, limit)
        if sha512 and received.sha512 != sha512:
            raise WrongChecksum(f"The bytes of image {image.pk} came with another SHA-512 than the host computed.")
        _finish(image, upload_id, received, virtual_size, becomes)
        is_done = True
    finally:
        if not is_done:
            _reset(image, upload_id)
            store.discard(store.part_of(image.pk, upload_id))
    log.info("image %s is %s with its %d bytes here", image.pk, becomes, received.size)


def _too_large(size: int, limit: int) -> TooLarge:
    return TooLarge(f"The image has {size} bytes or more; at most {limit} are taken.")


def _begin(image: Image, takes_from: tuple[ImageStatus, ...] = (ImageStatus.QUEUED,)) -> uuid.UUID:
    upload_id, now = uuid.uuid4(), timezone.now()
    begun = Image.objects.filter(pk=image.pk, status__in=takes_from).update(
        status=ImageStatus.SAVING, upload_id=upload_id, upload_seen_at=now, updated_at=now
    )
    if not begun:
        status = Image.objects.filter(pk=image.pk).values_list("status", flat=True).first()
        raise NotUploadable(f"Image {image.pk} takes an upload while it is queued; its status is {status}.")
    return upload_id


def _take(image: Image, upload_id: uuid.UUID, body: Body, limit: int) -> tuple[store.Received, int]:
    """The bytes into the part file, checked. Returns what came and the virtual size."""
    seen = time.monotonic()

    def on_chunk(size: int) -> None:
        nonlocal seen
        if size > limit:
            raise _too_large(size, limit)
        if time.monotonic() - seen > _SEEN_EVERY_SECONDS:
            seen = time.monotonic()
            if not _mine(image, upload_id).update(upload_seen_at=timezone.now()):
                raise NotUploadable(f"Image {image.pk} was deleted or reset during the upload.")

    inspection = Inspection(_guarded(body.read))
    received = store.write(store.part_of(image.pk, upload_id), inspection.read, on_chunk)
    if body.length is not None and received.size != body.length:
        raise UploadCutOff(f"The upload ended after {received.size} of {body.length} bytes.")
    if received.size == 0:
        raise ImageRefused("The upload is empty.")
    return received, inspection.virtual_size(image.disk_format)


def _guarded(read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """`read` with a lost connection or broken chunks told apart from errors of the store."""

    def guarded(size: int) -> bytes:
        try:
            return read(size)
        except Exception as error:  # each server has types of its own: gunicorn's for bad chunks are bare Exceptions
            raise UploadCutOff(f"The upload could not be read to its end: {error}.") from error

    return guarded


def _mine(image: Image, upload_id: uuid.UUID):  # type: ignore[no-untyped-def]
    return Image.objects.filter(pk=image.pk, status=ImageStatus.SAVING, upload_id=upload_id)


def _finish(
    image: Image, upload_id: uuid.UUID, received: store.Received, virtual_size: int, becomes: ImageStatus
) -> None:
    """Active (or saving, to be published), with the file in place: the row's lock is held while it gets its name."""
    is_published = False
    try:
        with transaction.atomic():
            finished = _mine(image, upload_id).update(
                status=becomes,
                upload_id=None,
                upload_seen_at=None,
                size=received.size,
                virtual_size=virtual_size,
                checksum=received.md5,
                os_hash_algo="sha512",
                os_hash_value=received.sha512,
                updated_at=timezone.now(),
            )
            if not finished:
                raise NotUploadable(f"Image {image.pk} was deleted or reset during the upload.")
            store.publish(store.part_of(image.pk, upload_id), image.pk)
            is_published = True
    except BaseException:
        if is_published:  # the commit failed: the row is still saving
            store.discard(store.path_of(image.pk))
        raise


def _reset(image: Image, upload_id: uuid.UUID) -> None:
    _mine(image, upload_id).update(
        status=ImageStatus.QUEUED, upload_id=None, upload_seen_at=None, updated_at=timezone.now()
    )


def reset_abandoned(*, image: Image) -> bool:
    """Takes a saving image back to queued and removes what its upload left. False when it went on meanwhile."""
    with transaction.atomic():
        reset = Image.objects.filter(
            pk=image.pk, status=ImageStatus.SAVING, upload_id=image.upload_id, upload_seen_at=image.upload_seen_at
        ).update(status=ImageStatus.QUEUED, upload_id=None, upload_seen_at=None, updated_at=timezone.now())
        if reset:
            store.remove(image.pk)
    return bool(reset)
