"""Instances and their faults; flavors, key pairs and quotas, which they are made from and limited by."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from instances.states import PowerState, VmState
from instances.statuses import api_status


class DiskConfig(models.TextChoices):
    """Whether the guest's partition was to be grown to the disk; kept for the wire."""

    MANUAL = "MANUAL"
    AUTO = "AUTO"


class LockedBy(models.TextChoices):
    """Who locked an instance: a lock set by an admin is removed by an admin."""

    OWNER = "owner"
    ADMIN = "admin"


class KeyType(models.TextChoices):
    """What a key pair is for."""

    SSH = "ssh"
    X509 = "x509"


class Instance(models.Model):
    """One instance. Its flavor and its image's properties are copied in: what it was made from may change or go.

    `host` is "" until it is placed and after it is deleted. `deleted_at` is null while it lives; the row is kept for a
    time after that.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project_id = models.CharField(max_length=32)
    user_id = models.CharField(max_length=32)
    display_name = models.CharField(max_length=255)
    description = models.CharField(max_length=255, null=True, blank=True)
    hostname = models.CharField(max_length=255, blank=True)
    reservation_id = models.CharField(max_length=32)
    launch_index = models.PositiveIntegerField(default=0)

    host = models.CharField(max_length=255, blank=True)
    availability_zone = models.CharField(max_length=255, blank=True)  # where it is; "" until placed
    requested_zone = models.CharField(max_length=255, null=True, blank=True)  # null: any
    forced_host = models.CharField(max_length=255, blank=True)  # an admin named it; filters do not run
    forced_hypervisor = models.CharField(max_length=255, blank=True)
    scheduler_hints = models.JSONField(default=dict, blank=True)

    vm_state = models.CharField(max_length=32, choices=VmState, default=VmState.BUILDING)
    task_state = models.CharField(max_length=32, null=True, blank=True)
    power_state = models.PositiveSmallIntegerField(default=PowerState.NOSTATE)

    flavor_id = models.CharField(max_length=255)  # the id that users see
    flavor_name = models.CharField(max_length=255)
    vcpus = models.PositiveIntegerField()
    memory_mib = models.PositiveIntegerField()
    disk_gib = models.PositiveIntegerField(default=0)  # 0: as large as the image
    ephemeral_gib = models.PositiveIntegerField(default=0)
    swap_mib = models.PositiveIntegerField(default=0)
    extra_specs = models.JSONField(default=dict, blank=True)

    image_id = models.CharField(max_length=36, blank=True)
    image_name = models.CharField(max_length=255, blank=True)
    image_properties = models.JSONField(default=dict, blank=True)

    key_name = models.CharField(max_length=255, null=True, blank=True)
    key_data = models.TextField(blank=True)
    user_data = models.TextField(blank=True)  # base64
    config_drive = models.BooleanField(default=True)
    metadata = models.JSONField(default=dict, blank=True)  # text → text
    system_metadata = models.JSONField(default=dict, blank=True)
    tags = models.JSONField(default=list, blank=True)
    requested_networks = models.JSONField(default=list, blank=True)  # PortRequest.to_json() each
    security_groups = models.JSONField(default=list, blank=True)  # names
    access_ip_v4 = models.GenericIPAddressField(protocol="IPv4", null=True, blank=True)
    access_ip_v6 = models.GenericIPAddressField(protocol="IPv6", null=True, blank=True)
    disk_config = models.CharField(max_length=8, choices=DiskConfig, default=DiskConfig.MANUAL)

    # What a verb that waits for another needs to go back: the flavor before a resize, the vm_state before it.
    previous_vm_state = models.CharField(max_length=32, blank=True)
    previous_flavor = models.JSONField(null=True, blank=True)
    rescue_image_id = models.CharField(max_length=36, blank=True)
    shelved_image_id = models.CharField(max_length=36, blank=True)
    shelved_at = models.DateTimeField(null=True, blank=True)
    soft_deleted_at = models.DateTimeField(null=True, blank=True)

    is_locked = models.BooleanField(default=False)
    locked_by = models.CharField(max_length=8, choices=LockedBy, blank=True)
    locked_reason = models.CharField(max_length=255, null=True, blank=True)

    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    launched_at = models.DateTimeField(null=True, blank=True)
    terminated_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(
                fields=["project_id", "-created_at", "-id"], condition=Q(deleted_at=None), name="instance_of_project"
            ),
            models.Index(fields=["-created_at", "-id"], condition=Q(deleted_at=None), name="instance_newest"),
            models.Index(fields=["vm_state", "project_id"], condition=Q(deleted_at=None), name="instance_by_state"),
            models.Index(fields=["host"], condition=Q(deleted_at=None), name="instance_on_host"),
            models.Index(fields=["reservation_id"], name="instance_reservation"),
            models.Index(fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="instance_deleted"),
        ]

    def __str__(self) -> str:
        return f"{self.display_name} ({self.id})"

    @property
    def status(self) -> str:
        """The wire's status."""
        return api_status(self.vm_state, self.task_state)

    @property
    def domain_name(self) -> str:
        """The guest's name at its hypervisor, unique on every host."""
        return f"instance-{self.id}"


class Fault(models.Model):
    """Why an instance failed. The latest one counts."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="faults")
    code = models.PositiveSmallIntegerField(default=500)
    message = models.CharField(max_length=255)
    details = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["instance", "-created_at", "-id"], name="fault_latest")]

    def __str__(self) -> str:
        return self.message


class MigrationType(models.TextChoices):
    """How an instance goes to another host; the values are the wire's."""

    RESIZE = "resize"
    MIGRATION = "migration"  # cold, by an admin
    LIVE = "live-migration"
    EVACUATION = "evacuation"


class MigrationStatus(models.TextChoices):
    """Where a migration is; the values are the wire's."""

    ACCEPTED = "accepted"
    QUEUED = "queued"  # a live migration: these three, then post-migrating and completed
    PREPARING = "preparing"
    RUNNING = "running"
    PRE_MIGRATING = "pre-migrating"
    MIGRATING = "migrating"
    POST_MIGRATING = "post-migrating"
    FINISHED = "finished"  # a resize or cold migration that waits to be confirmed or reverted
    CONFIRMING = "confirming"
    CONFIRMED = "confirmed"
    REVERTING = "reverting"
    REVERTED = "reverted"
    COMPLETED = "completed"  # live migration, evacuation
    CANCELLED = "cancelled"
    FAILED = "failed"
    ERROR = "error"


ENDED_MIGRATIONS = (
    *(MigrationStatus.COMPLETED, MigrationStatus.CONFIRMED, MigrationStatus.REVERTED),
    *(MigrationStatus.CANCELLED, MigrationStatus.FAILED, MigrationStatus.ERROR),
)


class Migration(models.Model):
    """One move of an instance, or one change of its flavor. It holds the old side's allocation, by its `uuid`, from the
    claim of the new side until it is confirmed, reverted or over."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="migrations")
    action_id = models.UUIDField(db_index=True)  # the action that began it
    type = models.CharField(max_length=16, choices=MigrationType)
    status = models.CharField(max_length=16, choices=MigrationStatus, default=MigrationStatus.ACCEPTED)
    project_id = models.CharField(max_length=32)
    user_id = models.CharField(max_length=32, blank=True)
    source_host = models.CharField(max_length=255, blank=True)
    destination_host = models.CharField(max_length=255, blank=True)
    old_flavor_id = models.CharField(max_length=255, blank=True)
    new_flavor_id = models.CharField(max_length=255, blank=True)
    details = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["instance", "-created_at"], name="migration_of_instance"),
            models.Index(fields=["status"], name="migration_status"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.instance_id} {self.status}"


class Flavor(models.Model):
    """A size that instances are made in. `flavorid` is the id that users see and choose."""

    flavorid = models.CharField(max_length=255, unique=True)
    name = models.CharField(max_length=255, unique=True)
    description = models.TextField(null=True, blank=True)
    memory_mib = models.PositiveIntegerField()
    vcpus = models.PositiveIntegerField()
    disk_gib = models.PositiveIntegerField(default=0)
    ephemeral_gib = models.PositiveIntegerField(default=0)
    swap_mib = models.PositiveIntegerField(default=0)
    rxtx_factor = models.FloatField(default=1.0)
    is_public = models.BooleanField(default=True)
    is_disabled = models.BooleanField(default=False)
    extra_specs = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["memory_mib", "flavorid"]

    def __str__(self) -> str:
        return self.name


class FlavorAccess(models.Model):
    """A project that may use a flavor which is not public."""

    flavor = models.ForeignKey(Flavor, on_delete=models.CASCADE, related_name="access")
    project_id = models.CharField(max_length=255)

    class Meta:
        verbose_name_plural = "flavor access"
        constraints = [models.UniqueConstraint(fields=["flavor", "project_id"], name="one_access_per_project")]

    def __str__(self) -> str:
        return f"{self.flavor_id} {self.project_id}"


class KeyPair(models.Model):
    """A user's public key, put into the guests that name it."""

    user_id = models.CharField(max_length=32)
    name = models.CharField(max_length=255)
    type = models.CharField(max_length=8, choices=KeyType, default=KeyType.SSH)
    public_key = models.TextField()
    fingerprint = models.CharField(max_length=255)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["user_id", "name"], name="one_keypair_per_user_and_name")]

    def __str__(self) -> str:
        return self.name


class Quota(models.Model):
    """A limit of one project that differs from the defaults. `limit` −1: none."""

    project_id = models.CharField(max_length=255)
    resource = models.CharField(max_length=64)
    limit = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project_id", "resource"], name="one_quota_per_resource")]

    def __str__(self) -> str:
        return f"{self.project_id} {self.resource} {self.limit}"


class QuotaClass(models.Model):
    """A default limit that an operator changed at run time; without a row, `quotas.DEFAULTS` counts."""

    name = models.CharField(max_length=255, default="default")
    resource = models.CharField(max_length=64)
    limit = models.IntegerField()

    class Meta:
        verbose_name_plural = "quota classes"
        constraints = [models.UniqueConstraint(fields=["name", "resource"], name="one_quota_class_per_resource")]

    def __str__(self) -> str:
        return f"{self.name} {self.resource} {self.limit}"


class HostBoot(models.Model):
    """The boot of a host that its instances are up to: when a heartbeat brings another, their guests ran before it."""

    host = models.CharField(max_length=255, primary_key=True)
    boot_id = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.host} {self.boot_id}"
