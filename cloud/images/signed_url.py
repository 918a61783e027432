"""Addresses that open one image for a while without a token: how hosts fetch bytes, and how they bring them.

The signature covers the method, the image and the end; its key is derived from SECRET_KEY under a salt of its own.
"""

from __future__ import annotations

import time
import uuid
from datetime import datetime
from urllib.parse import urlencode

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from cloud.errors import Forbidden

_SALT = "cloud.images.signed_url"


class SignatureRefused(Forbidden):
    """The signed address is over, or was not signed by this cloud for this image."""

    code = "image.signature_refused"


def download_url(image_id: uuid.UUID | str, expires_at: datetime) -> str:
    """The address of the image's bytes, as compute hosts reach it, good until `expires_at`."""
    return _url("GET", image_id, expires_at)


def upload_url(image_id: uuid.UUID | str, expires_at: datetime) -> str:
    """The address that takes the bytes of that one image, as compute hosts reach it, good until `expires_at`."""
    return _url("PUT", image_id, expires_at)


def check_download(image_id: uuid.UUID | str, expires: str, signature: str) -> None:
    """Raises SignatureRefused unless the query of a `download_url` for this image came, in time."""
    _check("GET", str(image_id), expires, signature)


def check_upload(image_id: uuid.UUID | str, expires: str, signature: str) -> None:
    """Raises SignatureRefused unless the query of an `upload_url` for this image came, in time."""
    _check("PUT", str(image_id), expires, signature)


def _url(method: str, image_id: uuid.UUID | str, expires_at: datetime) -> str:
    expires = int(expires_at.timestamp())
    query = urlencode({"expires": expires, "signature": _signature(method, str(image_id), expires)})
    return f"{settings.IMAGES_URL}/image/v2/images/{image_id}/file?{query}"


def _signature(method: str, image_id: str, expires: int) -> str:
    return salted_hmac(_SALT, f"{method} {image_id} {expires}", algorithm="sha256").hexdigest()


def _check(method: str, image_id: str, expires: str, signature: str) -> None:
    if not (expires.isascii() and expires.isdecimal() and len(expires) <= 12):
        raise SignatureRefused(f"The address is not valid: expires is {expires[:20]!r}.")
    if not constant_time_compare(_signature(method, image_id, int(expires)), signature):
        raise SignatureRefused("The signature of the address is not valid for this image.")
    if int(expires) < time.time():
        raise SignatureRefused("The address has expired.")
