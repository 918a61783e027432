"""Networks, their subnets, the ports on them and the address of each port."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from cloud.networks.addressing import SubnetPlan, default_mtu, plan_of, random_vni


class NetworkMode(models.TextChoices):
    """What leaves a network."""

    NAT = "nat"  # guests reach the outside behind the host's address
    ISOLATED = "isolated"  # guests reach one another and nothing else


class PortStatus(models.TextChoices):
    """Whether a port is plugged."""

    ACTIVE = "ACTIVE"  # bound to a host
    DOWN = "DOWN"


class Network(models.Model):
    """One layer-2 network; on each host that needs it there is a bridge of its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project_id = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=255, blank=True)
    description = models.CharField(max_length=255, blank=True)
    mode = models.CharField(max_length=16, choices=NetworkMode, default=NetworkMode.NAT)
    mtu = models.PositiveIntegerField(default=default_mtu)
    vni = models.PositiveIntegerField(unique=True, default=random_vni, editable=False)  # its VXLAN number
    reach_version = models.PositiveBigIntegerField(default=0, editable=False)  # changes of `hosts`; it never falls
    is_shared = models.BooleanField(default=False)
    is_admin_state_up = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["name"], name="network_name")]

    def __str__(self) -> str:
        return self.name or str(self.id)


class NetworkHost(models.Model):
    """A host that has ports of a network, or is about to get one. All that a network has must know one another.

    `told` is the version of the network's hosts that this host was told last. `address` is where the others reach it;
    "" for a host that they cannot reach.
    """

    network = models.ForeignKey(Network, on_delete=models.CASCADE, related_name="hosts")
    host = models.CharField(max_length=255)
    address = models.CharField(max_length=64, blank=True)
    told = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["network", "host"], name="one_row_per_network_and_host")]

    def __str__(self) -> str:
        return f"{self.network_id} on {self.host}"


class Subnet(models.Model):
    """A range of IPv4 addresses on a network, and which of them may be given out."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    network = models.ForeignKey(Network, on_delete=models.CASCADE, related_name="subnets")
    project_id = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=255, blank=True)
    description = models.CharField(max_length=255, blank=True)
    ip_version = models.PositiveSmallIntegerField(default=4)
    cidr = models.CharField(max_length=43)
    gateway_ip = models.GenericIPAddressField(protocol="IPv4", null=True, blank=True)
    enable_dhcp = models.BooleanField(default=True)
    dns_nameservers = models.JSONField(default=list, blank=True)
    allocation_pools = models.JSONField(default=list, blank=True)  # [{"start": ip, "end": ip}], ascending
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.name or self.id} {self.cidr}"

    @property
    def plan(self) -> SubnetPlan:
        """The range as numbers."""
        return plan_of(self.cidr, self.gateway_ip, self.allocation_pools)


class Port(models.Model):
    """One place on a network where a guest plugs in: its MAC, and through `addresses` its addresses.

    `made_by` is the action that made it; null: a user did. `bound_by` is the action that plugged it into the instance
    `device_id`; null: not plugged by the cloud. What a user writes in `device_id` of a free port means nothing to us.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    network = models.ForeignKey(Network, on_delete=models.PROTECT, related_name="ports")
    project_id = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=255, blank=True)
    description = models.CharField(max_length=255, blank=True)
    mac = models.CharField(max_length=17)
    device_id = models.CharField(max_length=255, blank=True, db_index=True)
    device_owner = models.CharField(max_length=255, blank=True)
    device_tag = models.CharField(max_length=60, blank=True)
    position = models.PositiveSmallIntegerField(default=0)  # which of the instance's interfaces: 0 is the first
    binding_host = models.CharField(max_length=255, blank=True)
    moving_to = models.CharField(max_length=255, blank=True)  # a host where it is plugged as well, for a migration
    is_admin_state_up = models.BooleanField(default=True)
    status = models.CharField(max_length=8, choices=PortStatus, default=PortStatus.DOWN)
    made_by = models.UUIDField(null=True, blank=True)
    bound_by = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["network", "mac"], name="one_mac_per_network")]

    def __str__(self) -> str:
        return self.name or self.mac

    @property
    def is_bound(self) -> bool:
        """Plugged into an instance."""
        return self.bound_by is not None


class PortAddress(models.Model):
    """One address of a port. `number` is the address counted from the subnet's first: what the allocator searches."""

    port = models.ForeignKey(Port, on_delete=models.CASCADE, related_name="addresses")
    subnet = models.ForeignKey(Subnet, on_delete=models.PROTECT, related_name="addresses")
    ip = models.GenericIPAddressField(protocol="IPv4")
    number = models.PositiveBigIntegerField()

    class Meta:
        verbose_name_plural = "port addresses"
        constraints = [
            models.UniqueConstraint(fields=["subnet", "ip"], name="one_port_per_ip"),
            models.UniqueConstraint(fields=["subnet", "number"], name="one_port_per_number"),
        ]

    def __str__(self) -> str:
        return self.ip
