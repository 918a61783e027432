"""What hosts offer, and what is taken of it."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone


def _free(total: Any, ratio: str, used: str) -> models.GeneratedField:
    """A column that the database keeps: what is free of a resource, overcommit included. Never written by us."""
    return models.GeneratedField(
        expression=total * F(ratio) - F(used), output_field=models.FloatField(), db_persist=True
    )


class ComputeNode(models.Model):
    """What one host offers. `used_*` are counters: always the sum of the allocations there, kept by `claims.py`.

    `is_schedulable` says that the host is up and its service enabled. The truth of that is in `workflow.Host` and
    `workflow.Service`; it is copied here because the scheduler reads a window of 200 hosts out of 10,000 through one
    index, which a join cannot. Heartbeats, the services API and a sweep keep the copy (`services.refresh_schedulable`).
    `free_*` are generated columns, so that the window and a claim compare one column with one number.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    host = models.CharField(max_length=255, unique=True)
    hypervisor_hostname = models.CharField(max_length=255, blank=True, db_index=True)
    zone = models.CharField(max_length=255, db_index=True)
    is_schedulable = models.BooleanField(default=False)

    vcpus = models.PositiveIntegerField(default=0)
    memory_mib = models.PositiveIntegerField(default=0)
    disk_gib = models.PositiveIntegerField(default=0)
    reserved_memory_mib = models.PositiveIntegerField(default=0)
    cpu_ratio = models.FloatField(default=1.0)
    ram_ratio = models.FloatField(default=1.0)
    disk_ratio = models.FloatField(default=1.0)
    used_vcpus = models.IntegerField(default=0)
    used_memory_mib = models.IntegerField(default=0)
    used_disk_gib = models.IntegerField(default=0)
    free_vcpus = _free(F("vcpus"), "cpu_ratio", "used_vcpus")
    free_memory_mib = _free(F("memory_mib") - F("reserved_memory_mib"), "ram_ratio", "used_memory_mib")
    free_disk_gib = _free(F("disk_gib"), "disk_ratio", "used_disk_gib")

    hypervisor_type = models.CharField(max_length=64, blank=True)
    hypervisor_version = models.PositiveIntegerField(default=0)
    architecture = models.CharField(max_length=64, blank=True)
    cpu_info = models.JSONField(default=dict, blank=True)
    storage_id = models.CharField(max_length=255, blank=True)
    host_ip = models.CharField(max_length=64, blank=True)
    observed_free_disk_gib = models.PositiveIntegerField(default=0)
    running_guests = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["host"]
        indexes = [
            models.Index(fields=["free_memory_mib", "id"], condition=Q(is_schedulable=True), name="node_by_free_ram"),
        ]

    def __str__(self) -> str:
        return self.host


class Allocation(models.Model):
    """What one consumer holds of one host: an instance, or a migration the side that its instance may go back to.

    `group` is opaque (a server group); at most `max_per_host` allocations of it may be on one host.
    """

    consumer = models.UUIDField()
    host = models.CharField(max_length=255)
    project_id = models.CharField(max_length=64, blank=True)
    vcpus = models.PositiveIntegerField()
    memory_mib = models.PositiveIntegerField()
    disk_gib = models.PositiveIntegerField()
    group = models.CharField(max_length=64, blank=True)
    max_per_host = models.PositiveIntegerField(null=True, blank=True)
    action_id = models.UUIDField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["consumer", "host"], name="one_allocation_per_host")]
        indexes = [
            models.Index(fields=["host"], name="allocation_host"),
            models.Index(fields=["group", "host"], condition=~Q(group=""), name="allocation_group"),
        ]

    def __str__(self) -> str:
        return f"{self.consumer} on {self.host}"
