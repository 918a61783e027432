"""A port as an interface of a server."""

from __future__ import annotations

from typing import Any

from cloud.networks.models import Port


def interface(port: Port, *, with_tag: bool) -> dict[str, Any]:
    """The port, its addresses and, from 2.70 on, the tag that the guest sees."""
    shown: dict[str, Any] = {
        "net_id": str(port.network_id),
        "port_id": str(port.pk),
        "mac_addr": port.mac,
        "port_state": port.status,
        "fixed_ips": [{"ip_address": a.ip, "subnet_id": str(a.subnet_id)} for a in port.addresses.all()],
    }
    if with_tag:
        shown["tag"] = port.device_tag or None
    return shown
