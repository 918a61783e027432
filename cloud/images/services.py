"""The verbs on images but the upload, which is in `uploads.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from cloud.api.policy import Caller, require_member, require_project
from cloud.errors import Conflict, Forbidden, NotFound
from cloud.images import changes as image_changes
from cloud.images import selectors, store
from cloud.images.changes import Change
from cloud.images.models import Image, ImageMember, ImageStatus, MemberStatus, Visibility


class ImageProtected(Forbidden):
    """A protected image is not deleted: take the protection off first."""

    code = "image.protected"


class IdTaken(Conflict):
    """There is, or was, an image with this id."""

    code = "image.id_taken"


class NoSuchMember(NotFound):
    """The image is not shared with this project."""

    code = "image.member_not_found"


# --- images -----------------------------------------------------------------------------------------------------------
def create_image(*, caller: Caller, fields: Mapping[str, Any], properties: Mapping[str, str]) -> Image:
    """A queued image of the caller's project; `fields` by the model's names, `id` too when the client chose it.

    Forbidden: no role for it, public without the role admin, another project's without it. IdTaken. BadRequest.
    """
    require_member(caller, "creating an image")
    project_id = require_project(caller, "creating an image")
    document = image_changes.Document(fields={"project_id": project_id, **fields}, properties=dict(properties))
    _check_policy(caller, document.fields, {"project_id": project_id, "visibility": Visibility.SHARED})
    image_changes.check_limits(document)
    try:
        with transaction.atomic():
            return Image.objects.create(**document.fields, properties=document.properties)
    except IntegrityError:
        raise IdTaken(f"Image ID {fields.get('id')} already exists.") from None


@transaction.atomic
def update_image(*, caller: Caller, image_id: str, changes: Sequence[Change]) -> Image:
    """Applies the changes, all or none. NoSuchImage, NotOwner, Forbidden, NoSuchAttribute, BadRequest."""
    image = _locked(selectors.changeable_image(caller, image_id))
    before = image_changes.document_of(image)
    after = image_changes.apply(before, changes)
    _check_policy(caller, after.fields, before.fields)
    for field in ("disk_format", "container_format"):
        if after.fields[field] != before.fields[field] and image.status != ImageStatus.QUEUED:
            raise Forbidden(f"Attribute {field} can be only replaced for a queued image; it is {image.status}.")
    for field, value in after.fields.items():
        setattr(image, field, value)
    image.properties = after.properties
    image.updated_at = timezone.now()
    image.save(update_fields=[*after.fields, "properties", "updated_at"])
    return image


def _locked(image: Image) -> Image:
    """The row as it is now, locked. NoSuchImage when it was deleted meanwhile."""
    row = Image.objects.select_for_update().exclude(status=ImageStatus.DELETED).filter(pk=image.pk).first()
    if row is None:
        raise selectors.NoSuchImage(f"No image found with ID {image.pk}.")
    return row


def _check_policy(caller: Caller, after: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    if caller.is_admin:
        return
    if after.get("visibility") == Visibility.PUBLIC != before["visibility"]:
        raise Forbidden("Policy does not allow publicizing an image: the role 'admin' is needed.")
    if after["project_id"] != before["project_id"]:
        raise Forbidden("Policy does not allow giving an image to another project: the role 'admin' is needed.")


@transaction.atomic
def delete_image(*, caller: Caller | None, image_id: str) -> None:
    """Deletes the image, its bytes after the commit; an upload under way finds out. Caller None: the cloud itself.

    NoSuchImage, NotOwner, ImageProtected.
    """
    image = _locked(selectors.changeable_image(caller, image_id) if caller else selectors.image_by_id(image_id))
    if image.is_protected:
        raise ImageProtected(f"Image {image.pk} is protected and cannot be deleted.")
    image.status, image.deleted_at = ImageStatus.DELETED, timezone.now()
    image.updated_at, image.upload_id, image.upload_seen_at = image.deleted_at, None, None
    image.save(update_fields=["status", "deleted_at", "updated_at", "upload_id", "upload_seen_at"])
    transaction.on_commit(lambda: store.remove(image.pk))


# --- tags -------------------------------------------------------------------------------------------------------------
def add_tag(*, caller: Caller, image_id: str, tag: str) -> None:
    """The image has the tag. NoSuchImage, NotOwner; BadRequest when there would be too many."""
    update_image(
        caller=caller,
        image_id=image_id,
        changes=[Change(op=image_changes.Op.ADD, name="tags", value=tag, position="-")],
    )


@transaction.atomic
def remove_tag(*, caller: Caller, image_id: str, tag: str) -> None:
    """The image has the tag no more. NoSuchImage, NotOwner; NotFound when it had not."""
    image = _locked(selectors.changeable_image(caller, image_id))
    if tag not in image.tags:
        raise NotFound(f"Image {image.pk} has no tag {tag!r}.")
    image.tags = [other for other in image.tags if other != tag]
    image.updated_at = timezone.now()
    image.save(update_fields=["tags", "updated_at"])


# --- members ----------------------------------------------------------------------------------------------------------
def add_member(*, caller: Caller, image_id: str, project_id: str) -> ImageMember:
    """Shares a shared image with a project. NoSuchImage, NotOwner, Forbidden (not shared), Conflict (is a member)."""
    image = selectors.changeable_image(caller, image_id)
    if image.visibility != Visibility.SHARED:
        raise Forbidden(f"Only a shared image has members; image {image.pk} is {image.visibility}.")
    try:
        with transaction.atomic():
            return ImageMember.objects.create(image=image, project_id=project_id)
    except IntegrityError:
        raise Conflict(f"Image {image.pk} is shared with project {project_id} already.") from None


def set_member_status(*, caller: Caller, image_id: str, project_id: str, status: str) -> ImageMember:
    """What the project says of the image; only that project and an admin may. NoSuchImage, NoSuchMember, Forbidden."""
    image = selectors.image(caller, image_id)
    require_member(caller, "accepting or rejecting an image")
    if not caller.is_admin and caller.project_id != project_id:
        raise Forbidden("Only the project that an image is shared with accepts or rejects it.")
    member = _member(image, project_id)
    member.status, member.updated_at = MemberStatus(status), timezone.now()
    member.save(update_fields=["status", "updated_at"])
    return member


def remove_member(*, caller: Caller, image_id: str, project_id: str) -> None:
    """Ends the sharing. NoSuchImage, NotOwner, NoSuchMember."""
    _member(selectors.changeable_image(caller, image_id), project_id).delete()


def _member(image: Image, project_id: str) -> ImageMember:
    member = ImageMember.objects.filter(image=image, project_id=project_id).first()
    if member is None:
        raise NoSuchMember(f"Image {image.pk} is not shared with project {project_id[:80]!r}.")
    return member
