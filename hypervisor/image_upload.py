"""Image bytes over HTTP to a signed URL. The URL is a secret: no message names more of it than its host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import requests

from hypervisor.driver import Progress
from hypervisor.errors import UploadFailed, UploadRefused

_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 120  # the image service syncs its disk before it answers
_MAY_PASS = (408, 425, 429)
_MIB = 1024**2
_MAX_WORDS = 200


def upload(image_id: str, url: str, path: Path, sha512: str, ca_file: str | None, progress: Progress) -> None:
    """After it the image service has the file at `path` as the bytes of the image, checked against `sha512` (hex).

    Errors: UploadFailed, when nobody answers, the connection breaks off, or the answer says to come again later (5xx,
    429); UploadRefused, for any other answer than 204; what `progress` raises, which is called for each MiB.
    """
    host = urlsplit(url).netloc.rpartition("@")[2]
    session = requests.Session()
    session.trust_env = False  # no proxy and no .netrc between a host and its image service
    try:
        with path.open("rb") as stream:
            answer = session.put(
                url,
                data=_Told(stream, progress),  # type: ignore[arg-type]
                allow_redirects=False,
                timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
                verify=ca_file or True,
                headers={"Content-Type": "application/octet-stream", "X-Image-Sha512": sha512},
            )
        _judge(answer, image_id, host)
    except requests.exceptions.InvalidURL as error:
        raise UploadRefused(f"image {image_id}: the URL to bring it to is none") from error
    except requests.exceptions.RequestException as error:
        raise UploadFailed(f"image {image_id}: {host} did not take it ({type(error).__name__})") from None
    finally:
        session.close()


class _Told:
    """A file as requests reads one, with its length, that tells how far it has been read."""

    def __init__(self, stream: BinaryIO, progress: Progress) -> None:
        self._stream = stream
        self._progress = progress
        self._size = os.fstat(stream.fileno()).st_size
        self._read = 0

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        before, self._read = self._read, self._read + len(piece)
        if before // _MIB != self._read // _MIB:
            self._progress(100 * self._read // self._size, f"{self._read // _MIB} of {self._size // _MIB} MiB are sent")
        return piece


def _judge(answer: requests.Response, image_id: str, host: str) -> None:
    status = answer.status_code
    if status == 204:
        return
    message = f"image {image_id}: {host} answered {status}{_words(answer)}"
    if status >= 500 or status in _MAY_PASS:
        raise UploadFailed(message)
    raise UploadRefused(message)


def _words(answer: requests.Response) -> str:
    """What the image service said, as far as it said it in its own form."""
    try:
        said = answer.json()["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {str(said)[:_MAX_WORDS]}"
