"""The bytes of an image: PUT and GET /v2/images/{id}/file. Streamed both ways, never in memory."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.policy import Caller
from cloud.errors import UnsupportedMediaType
from cloud.images import selectors, signed_url, store, uploads
from cloud.images.api.views import ImageView
from cloud.images.models import Image, ImageStatus

_OCTETS = "application/octet-stream"
_CHECKSUM = "X-Image-Sha512"  # what a host computed of the bytes that it brings, hex


class SignedUrlAuthentication(BaseAuthentication):
    """The bearer of a signed address: nobody in particular, for one image and a while."""

    def authenticate(self, request: Request) -> tuple[Caller, str]:
        image_id = str(request.parser_context["kwargs"]["image_id"])
        check = signed_url.check_upload if request.method == "PUT" else signed_url.check_download
        check(image_id, request.GET.get("expires", ""), request.GET["signature"])
        bearer = Caller(
            user_id="", user_name="", user_domain_id="", project_id=None, project_name=None, roles=frozenset()
        )
        return bearer, image_id


class FileView(ImageView):
    """A token opens it for who may see the image; a signed address does so for the method that it was signed for."""

    def get_authenticators(self) -> Any:
        if self.request.method in ("GET", "PUT") and "signature" in self.request.GET:
            return [SignedUrlAuthentication()]
        return super().get_authenticators()

    def get(self, request: Request, image_id: str) -> HttpResponseBase:
        if isinstance(request.successful_authenticator, SignedUrlAuthentication):
            image = selectors.image_by_id(image_id)
        else:
            image = selectors.image(self.caller, image_id)
        if image.status != ImageStatus.ACTIVE:
            return Response(status=204)
        return _download(image)

    def put(self, request: Request, image_id: str) -> Response:
        is_signed = isinstance(request.successful_authenticator, SignedUrlAuthentication)
        image = selectors.image_by_id(image_id) if is_signed else selectors.changeable_image(self.caller, image_id)
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        if media_type != _OCTETS:
            raise UnsupportedMediaType(f"The bytes of an image come as {_OCTETS}, not as {media_type[:80]!r}.")
        body = _body_of(request._request)
        if is_signed:
            uploads.receive(image=image, body=body, sha512=request.headers.get(_CHECKSUM, ""))
        else:
            uploads.upload(image=image, body=body)
        return Response(status=204)


def _download(image: Image) -> FileResponse:
    try:
        file = store.path_of(image.pk).open("rb")
    except FileNotFoundError:
        raise selectors.NoSuchImage(f"The bytes of image {image.pk} are not in the image store.") from None
    # FileResponse closes the file and sets the length; gunicorn sends it with sendfile.
    return FileResponse(file, content_type=_OCTETS, headers={"Content-MD5": image.checksum})


def _body_of(request: HttpRequest) -> uploads.Body:
    """The request's bytes as they come.

    With a Content-Length Django reads just so many. A chunked body has none, and Django takes it for empty; then the
    server's own input is read, which ends where the chunks end (`wsgi.input_terminated`).
    """
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdecimal():
        return uploads.Body(read=request.read, length=int(length))
    is_terminated = request.META.get("wsgi.input_terminated")
    if is_terminated or "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        return uploads.Body(read=request.META["wsgi.input"].read, length=None)
    return uploads.Body(read=request.read, length=0)
