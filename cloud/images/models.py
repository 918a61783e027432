"""Images, and the projects that a shared image is shared with."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone


class ImageStatus(models.TextChoices):
    """An image's life: queued (a row) → saving (bytes come) → active (they stay so) → deleted (a row for a while)."""

    QUEUED = "queued"
    SAVING = "saving"
    ACTIVE = "active"
    DELETED = "deleted"


class Visibility(models.TextChoices):
    """Who sees an image besides its owner: all, nobody, its members, or all who know its id."""

    PUBLIC = "public"
    PRIVATE = "private"
    SHARED = "shared"
    COMMUNITY = "community"


class DiskFormat(models.TextChoices):
    """What hosts can boot; the content of a file is checked against it."""

    RAW = "raw"
    QCOW2 = "qcow2"
    ISO = "iso"


class ContainerFormat(models.TextChoices):
    """What is around the disk: nothing."""

    BARE = "bare"


class MemberStatus(models.TextChoices):
    """What a project says of an image that is shared with it; an accepted one is in its list."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Image(models.Model):
    """One image. Sizes are bytes and 0 until it is active; `properties` maps text to text.

    `upload_id` names the one upload that may finish while the status is saving; `upload_seen_at` is when bytes last
    came.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project_id = models.CharField(max_length=32, verbose_name="owner", help_text="The project that owns the image.")
    name = models.CharField(max_length=255, blank=True)
    status = models.CharField(max_length=8, choices=ImageStatus, default=ImageStatus.QUEUED)
    visibility = models.CharField(max_length=9, choices=Visibility, default=Visibility.SHARED)
    disk_format = models.CharField(max_length=8, choices=DiskFormat, blank=True)
    container_format = models.CharField(max_length=8, choices=ContainerFormat, blank=True)
    min_disk = models.PositiveIntegerField(default=0, help_text="GiB of disk that a flavor must have.")
    min_ram = models.PositiveIntegerField(default=0, help_text="MiB of memory that a flavor must have.")
    is_protected = models.BooleanField(default=False, help_text="Cannot be deleted.")
    is_hidden = models.BooleanField(default=False, help_text="Not in lists unless asked for.")
    tags = models.JSONField(default=list, blank=True)
    properties = models.JSONField(default=dict, blank=True)

    size = models.PositiveBigIntegerField(default=0, help_text="Bytes of the file.")
    virtual_size = models.PositiveBigIntegerField(default=0, help_text="Bytes of the disk that a guest sees.")
    checksum = models.CharField(max_length=32, blank=True, help_text="MD5, hex.")
    os_hash_algo = models.CharField(max_length=16, blank=True)
    os_hash_value = models.CharField(max_length=128, blank=True)

    upload_id = models.UUIDField(null=True, blank=True, editable=False)
    upload_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="image_newest"),
            models.Index(fields=["project_id"], name="image_of_project"),
            models.Index(fields=["deleted_at"], condition=Q(status=ImageStatus.DELETED), name="image_deleted"),
            models.Index(fields=["upload_seen_at"], condition=Q(status=ImageStatus.SAVING), name="image_saving"),
        ]

    def __str__(self) -> str:
        return self.name or str(self.id)


class ImageMember(models.Model):
    """A project that a shared image is shared with."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="members")
    project_id = models.CharField(max_length=32, db_index=True)
    status = models.CharField(max_length=8, choices=MemberStatus, default=MemberStatus.PENDING)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["image", "project_id"], name="one_member_per_image_and_project")]

    def __str__(self) -> str:
        return f"{self.image_id} for {self.project_id}"
