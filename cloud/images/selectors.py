"""Reads of this room; what a caller may see is decided here."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet

from cloud.api.policy import Caller, require_member
from cloud.errors import BadRequest, Forbidden, NotFound
from cloud.images.models import DiskFormat, Image, ImageMember, ImageStatus, MemberStatus, Visibility


class NoSuchImage(NotFound):
    """No image with this id, or none that the caller may see."""

    code = "image.not_found"


class ImageNotFound(BadRequest):
    """A request names an image that does not exist or that the caller may not see."""

    code = "image.unknown"


class ImageNotActive(BadRequest):
    """A request names an image that has no bytes yet."""

    code = "image.not_active"


class ImageNotBootable(BadRequest):
    """The image's format is one that no host boots from."""

    code = "image.not_bootable"


class NotOwner(Forbidden):
    """The image belongs to another project."""

    code = "image.not_owner"


def uuid_of(text: object) -> uuid.UUID | None:
    """The id that a client wrote, with or without dashes; None when it is none."""
    try:
        return text if isinstance(text, uuid.UUID) else uuid.UUID(str(text))
    except ValueError:
        return None


def _shared_with(caller: Caller, *statuses: str) -> Q:
    members = ImageMember.objects.filter(image=OuterRef("pk"), project_id=caller.project_id)
    if statuses:
        members = members.filter(status__in=statuses)
    return Q(Exists(members), visibility=Visibility.SHARED)


def visible_images(caller: Caller) -> QuerySet[Image]:
    """What the caller may read by id: its own, public and community images, those shared with it; all for an admin."""
    images = Image.objects.exclude(status=ImageStatus.DELETED)
    if caller.is_admin:
        return images
    return images.filter(
        Q(project_id=caller.project_id)
        | Q(visibility__in=(Visibility.PUBLIC, Visibility.COMMUNITY))
        | _shared_with(caller)
    )


def listed_images(
    caller: Caller, *, visibility: str | None = None, member_status: str = MemberStatus.ACCEPTED
) -> QuerySet[Image]:
    """What a list shows: community images of others only when asked for, shared ones by what was said of them."""
    images = visible_images(caller)
    if visibility not in (None, "all"):
        images = images.filter(visibility=visibility)
    if caller.is_admin:
        return images
    statuses = tuple(MemberStatus.values) if member_status == "all" else (member_status,)
    shown = Q(project_id=caller.project_id) | Q(visibility=Visibility.PUBLIC) | _shared_with(caller, *statuses)
    if visibility in (Visibility.COMMUNITY, "all"):
        shown |= Q(visibility=Visibility.COMMUNITY)
    return images.filter(shown)


def image(caller: Caller, image_id: str) -> Image:
    """The image, or NoSuchImage: also for names, which clients try as ids first."""
    key = uuid_of(image_id)
    row = visible_images(caller).filter(pk=key).first() if key else None
    if row is None:
        raise NoSuchImage(f"No image found with ID {image_id[:80]}.")
    return row


def image_by_id(image_id: str) -> Image:
    """The image whoever asks: for the bearer of a signed address. NoSuchImage also for a deleted one."""
    key = uuid_of(image_id)
    row = Image.objects.exclude(status=ImageStatus.DELETED).filter(pk=key).first() if key else None
    if row is None:
        raise NoSuchImage(f"No image found with ID {image_id[:80]}.")
    return row


def members_of(caller: Caller, image: Image) -> QuerySet[ImageMember]:
    """The members of an image: all for its owner and an admin, else the caller's own membership alone."""
    members = ImageMember.objects.filter(image=image)
    if caller.is_admin or image.project_id == caller.project_id:
        return members
    return members.filter(project_id=caller.project_id)


def changeable_image(caller: Caller, image_id: str) -> Image:
    """The image, for an admin or a member of the project that owns it.

    NoSuchImage when the caller may not see it; NotOwner when it belongs to others; Forbidden without the role.
    """
    row = image(caller, image_id)
    if not caller.is_admin and row.project_id != caller.project_id:
        raise NotOwner(f"Image {row.pk} belongs to another project: only that one and an admin may change it.")
    require_member(caller, "changing an image")
    return row


def image_for_boot(caller: Caller, image_id: str) -> Image:
    """The image that a new guest starts from: visible to the caller and active.

    Raises ImageNotFound or ImageNotActive, both 400, naming the value.
    """
    key = uuid_of(image_id)
    row = visible_images(caller).filter(pk=key).first() if key else None
    if row is None:
        raise ImageNotFound(f"Can not find requested image {str(image_id)[:80]!r}.", image=str(image_id)[:80])
    if row.status != ImageStatus.ACTIVE:
        raise ImageNotActive(f"Image {row.pk} is not active: its status is {row.status}.", image=str(row.pk))
    if row.disk_format == DiskFormat.ISO:
        raise ImageNotBootable(f"Image {row.pk} is an ISO image: servers boot from raw and qcow2.", image=str(row.pk))
    return row


def images_by_id(ids: Iterable[uuid.UUID | str]) -> dict[uuid.UUID, Image]:
    """The images with these ids, deleted ones too while their rows are kept; ids that are none are left out."""
    keys = {key for key in map(uuid_of, ids) if key}
    return Image.objects.in_bulk(keys) if keys else {}
