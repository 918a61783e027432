"""Image bytes over HTTP from a signed URL. The URL is a secret: no message names more of it than its host."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import requests

from hypervisor.errors import ImageRefused, ImageUnreachable
from hypervisor.spec import ImageSource

_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 30
_MAY_PASS = (408, 425, 429)


def chunks(image: ImageSource, ca_file: str | None, chunk_bytes: int) -> Iterator[bytes]:
    """The image's bytes in pieces of at most `chunk_bytes`.

    Errors: ImageUnreachable, when nobody answers, the answer breaks off, or it says to come again later (5xx, 429);
    ImageRefused, for any other answer than 200.
    """
    host = urlsplit(image.url).netloc.rpartition("@")[2]
    session = requests.Session()
    session.trust_env = False  # no proxy and no .netrc between a host and its image service
    try:
        answer = session.get(
            image.url,
            stream=True,
            allow_redirects=False,
            timeout=(_CONNECT_SECONDS, _SILENCE_SECONDS),
            verify=ca_file or True,
            headers={"Accept-Encoding": "identity"},
        )
        with answer:
            _judge(answer.status_code, image, host)
            yield from answer.iter_content(chunk_bytes)
    except requests.exceptions.InvalidURL as error:
        raise ImageRefused(f"image {image.id}: its URL is none") from error
    except requests.exceptions.RequestException as error:
        reason = type(error).__name__
        raise ImageUnreachable(f"image {image.id}: {host} did not deliver it ({reason})") from None
    finally:
        session.close()


def _judge(status: int, image: ImageSource, host: str) -> None:
    if status == 200:
        return
    message = f"image {image.id}: {host} answered {status}"
    if status >= 500 or status in _MAY_PASS:
        raise ImageUnreachable(message)
    raise ImageRefused(message)
