"""A server as each microversion shows it. Works on dictionaries of columns: a list of 1,000 makes no model instance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from cloud.api.microversions import Microversion
from cloud.networks.selectors import Address, addresses_of
from instances.api.links import bookmark_url, links, micros, seconds
from instances.models import Fault, Instance
from instances.selectors import HostFacts, hosts_of, latest_faults
from instances.states import VmState
from instances.statuses import api_status

BASIC = ("id", "display_name")
_ALWAYS = (
    "id",
    "display_name",
    "project_id",
    "user_id",
    "host",
    "availability_zone",
    "requested_zone",
    "vm_state",
    "task_state",
    "power_state",
    "flavor_id",
    "flavor_name",
    "vcpus",
    "memory_mib",
    "disk_gib",
    "ephemeral_gib",
    "swap_mib",
    "image_id",
    "key_name",
    "config_drive",
    "access_ip_v4",
    "access_ip_v6",
    "disk_config",
    "is_locked",
    "locked_reason",
    "description",
    "created_at",
    "updated_at",
    "launched_at",
    "terminated_at",
    "deleted_at",
    "hostname",
)
_ADMINS = ("reservation_id", "launch_index", "user_data")
_WITH_PROGRESS = frozenset({"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"})
_WITH_FAULT = frozenset({"ERROR", "DELETED"})


@dataclass(frozen=True, kw_only=True)
class Form:
    """Which representation is asked for."""

    version: Microversion
    is_admin: bool
    in_list: bool = False
    # The older replies of PUT and rebuild leave out what was once in extensions.
    is_brief: bool = False

    def has(self, minor: int) -> bool:
        """The version is 2.`minor` or newer."""
        return self.version.minor >= minor

    @property
    def columns(self) -> tuple[str, ...]:
        """What to read of each row."""
        return (*_ALWAYS, *_ADMINS) if self.is_admin and self.has(3) else _ALWAYS

    @property
    def documents(self) -> dict[str, Cast]:
        """JSON columns, read as the text that they are kept as: most of it goes out again as it is."""
        wanted = ["metadata", "security_groups"]
        if self.has(26):
            wanted.append("tags")
        if self.has(47):
            wanted.append("extra_specs")
        return {f"{name}_text": Cast(name, TextField()) for name in wanted}


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What a server shows that is not in its row, for all servers of a reply."""

    addresses: Mapping[UUID, Sequence[Address]] = field(default_factory=dict)
    faults: Mapping[UUID, Fault] = field(default_factory=dict)
    hosts: Mapping[str, HostFacts] = field(default_factory=dict)


def rows_of(rows: QuerySet[Instance], form: Form) -> list[dict[str, Any]]:
    """The columns that `form` shows. One query."""
    return list(rows.values(*form.columns, **form.documents))


def beside(rows: Sequence[Mapping[str, Any]], form: Form) -> Beside:
    """Reads what the rows need besides: addresses, faults of failed ones, for admins facts of hosts. At most four
    queries, however many rows."""
    placed = [row["id"] for row in rows if row["vm_state"] != VmState.BUILDING and row["deleted_at"] is None]
    failed = [row["id"] for row in rows if status_of(row) in _WITH_FAULT]
    shows_hosts = form.is_admin and not form.is_brief
    return Beside(
        addresses=addresses_of(placed) if placed else {},
        faults=latest_faults(failed),
        hosts=hosts_of({row["host"] for row in rows}, with_status=form.has(16)) if shows_hosts else {},
    )


def basic(row: Mapping[str, Any]) -> dict[str, Any]:
    """The short form of the list that is not in detail."""
    text = str(row["id"])
    return {"id": text, "name": row["display_name"], "links": links(f"servers/{text}")}


def created(row: Instance, admin_pass: str) -> dict[str, Any]:
    """The reply to a create: where to look, and the password that is shown once."""
    return {
        "id": str(row.pk),
        "links": links(f"servers/{row.pk}"),
        "OS-DCF:diskConfig": row.disk_config,
        "security_groups": [{"name": name} for name in row.security_groups],
        "adminPass": admin_pass,
    }


def status_of(row: Mapping[str, Any]) -> str:
    """The wire's status of a row."""
    return "DELETED" if row["deleted_at"] is not None else api_status(row["vm_state"], row["task_state"])


def server(row: Mapping[str, Any], form: Form, around: Beside) -> dict[str, Any]:
    """The full form, or the brief one of older PUT and rebuild replies."""
    key, status = row["id"], status_of(row)
    text = str(key)
    shown: dict[str, Any] = {
        "id": text,
        "name": row["display_name"],
        "status": status,
        "tenant_id": row["project_id"],
        "user_id": row["user_id"],
        "metadata": orjson.Fragment(row["metadata_text"]),
        "hostId": host_id(row["project_id"], row["host"]),
        "image": _image(row["image_id"]),
        "flavor": _flavor(row, form),
        "created": seconds(row["created_at"]),
        "updated": seconds(row["updated_at"]),
        "addresses": addresses(around.addresses.get(key, ()), with_mac=not form.is_brief),
        "accessIPv4": row["access_ip_v4"] or "",
        "accessIPv6": row["access_ip_v6"] or "",
        "links": links(f"servers/{text}"),
        "OS-DCF:diskConfig": row["disk_config"],
    }
    if status in _WITH_FAULT and key in around.faults:
        shown["fault"] = _fault(around.faults[key])
    if status in _WITH_PROGRESS:
        shown["progress"] = 0
    if not form.is_brief:
        shown |= _extended(row, form, around)
    if form.has(9):
        shown["locked"] = row["is_locked"]
    if form.has(19):
        shown["description"] = row["description"]
    if form.has(26):
        shown["tags"] = orjson.Fragment(row["tags_text"])
    if form.has(63):
        shown["trusted_image_certificates"] = None
    if form.has(71) and not form.in_list:
        shown["server_groups"] = []
    if form.has(73):
        shown["locked_reason"] = row["locked_reason"]
    if form.has(96):
        shown["pinned_availability_zone"] = row["requested_zone"]
    return shown


def _extended(row: Mapping[str, Any], form: Form, around: Beside) -> dict[str, Any]:
    """What was in extensions once."""
    shown = {
        "OS-EXT-AZ:availability_zone": _zone(row),
        "config_drive": "True" if row["config_drive"] else "",
        "key_name": row["key_name"],
        "OS-SRV-USG:launched_at": micros(row["launched_at"]),
        "OS-SRV-USG:terminated_at": micros(row["terminated_at"]),
        "security_groups": [{"name": name} for name in orjson.loads(row["security_groups_text"])],
        "OS-EXT-STS:task_state": row["task_state"],
        "OS-EXT-STS:vm_state": row["vm_state"],
        "OS-EXT-STS:power_state": row["power_state"],
        "os-extended-volumes:volumes_attached": [],
    }
    if form.is_admin:
        shown |= _for_admins(row, form, around)
    elif form.has(90):
        shown["OS-EXT-SRV-ATTR:hostname"] = row["hostname"]
    return shown


def _for_admins(row: Mapping[str, Any], form: Form, around: Beside) -> dict[str, Any]:
    host = around.hosts.get(row["host"])
    shown = {
        "OS-EXT-SRV-ATTR:host": row["host"] or None,
        "OS-EXT-SRV-ATTR:instance_name": f"instance-{row['id']}",
        "OS-EXT-SRV-ATTR:hypervisor_hostname": host.hypervisor_hostname if host else None,
    }
    if form.has(3):
        shown |= {
            "OS-EXT-SRV-ATTR:reservation_id": row["reservation_id"],
            "OS-EXT-SRV-ATTR:launch_index": row["launch_index"],
            "OS-EXT-SRV-ATTR:hostname": row["hostname"],
            "OS-EXT-SRV-ATTR:kernel_id": "",
            "OS-EXT-SRV-ATTR:ramdisk_id": "",
            "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
            "OS-EXT-SRV-ATTR:user_data": row["user_data"] or None,
        }
    if form.has(16):
        shown["host_status"] = host.status if host else ""
    return shown


def host_id(project_id: str, host: str) -> str:
    """A host as its guests' owners may know it: the same for one project, telling nothing; "" for none."""
    return hashlib.sha224(f"{project_id}{host}".encode()).hexdigest() if host else ""


def addresses(found: Sequence[Address], *, with_mac: bool) -> dict[str, list[dict[str, Any]]]:
    """Addresses by the name of their network."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for address in found:
        item: dict[str, Any] = {"version": address.version, "addr": address.ip}
        if with_mac:
            item["OS-EXT-IPS:type"] = address.type
            item["OS-EXT-IPS-MAC:mac_addr"] = address.mac
        shown.setdefault(address.network_name, []).append(item)
    return shown


def _image(image_id: str) -> Any:
    if not image_id:
        return ""
    return {"id": image_id, "links": [{"rel": "bookmark", "href": bookmark_url(f"images/{image_id}")}]}


def _flavor(row: Mapping[str, Any], form: Form) -> dict[str, Any]:
    if not form.has(47):
        flavor_id = row["flavor_id"]
        return {"id": flavor_id, "links": [{"rel": "bookmark", "href": bookmark_url(f"flavors/{flavor_id}")}]}
    return {
        "vcpus": row["vcpus"],
        "ram": row["memory_mib"],
        "disk": row["disk_gib"],
        "ephemeral": row["ephemeral_gib"],
        "swap": row["swap_mib"],
        "original_name": row["flavor_name"],
        "extra_specs": orjson.Fragment(row["extra_specs_text"]),
    }


def _zone(row: Mapping[str, Any]) -> str:
    """Where it is; before that, where it is to be."""
    if row["availability_zone"] or row["requested_zone"]:
        return str(row["availability_zone"] or row["requested_zone"])
    return str(settings.DEFAULT_AVAILABILITY_ZONE) if row["host"] else ""


def _fault(fault: Fault) -> dict[str, Any]:
    shown = {"code": fault.code, "created": seconds(fault.created_at), "message": fault.message}
    if fault.details:
        shown["details"] = fault.details
    return shown
