"""The shapes of request bodies. A field that is not served is refused by its name."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

from cloud.api.schemas import BOOLEAN, UUID, schema

_TEXT = {"type": "string", "maxLength": 255, "pattern": r"^[^\x00]*\Z"}
_PROJECT = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[^\x00]+\Z"}
_IP = {"type": "string", "maxLength": 45}
_POOLS = {
    "type": "array",
    "maxItems": 32,
    "items": {
        "type": "object",
        "properties": {"start": _IP, "end": _IP},
        "required": ["start", "end"],
        "additionalProperties": False,
    },
}
_FIXED_IPS = {
    "type": "array",
    "maxItems": 16,
    "items": {
        "type": "object",
        "properties": {"subnet_id": UUID, "ip_address": _IP},
        "minProperties": 1,
        "additionalProperties": False,
    },
}
_MAC = {"type": "string", "pattern": "^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}\\Z"}
_MTU = {  # 576 to 9000; the client sends it as text, to which the pattern applies
    "type": ["integer", "string"],
    "minimum": 576,
    "maximum": 9000,
    "pattern": "^(57[6-9]|5[89][0-9]|[6-9][0-9]{2}|[1-8][0-9]{3}|9000)\\Z",
}
_OWNER = {"project_id": _PROJECT, "tenant_id": _PROJECT}

_network_update: dict[str, Any] = {
    "name": _TEXT,
    "description": _TEXT,
    "admin_state_up": BOOLEAN,
    "shared": BOOLEAN,
    "mtu": _MTU,
    "router:external": {"enum": [False, "false", "False"]},
    "port_security_enabled": {"enum": [False, "false", "False"]},
    "is_default": {"enum": [False, "false", "False"]},
}
_network_create = {**_network_update, **_OWNER, "provider:network_type": {"enum": ["nat", "isolated"]}}
_subnet_update: dict[str, Any] = {
    "name": _TEXT,
    "description": _TEXT,
    "gateway_ip": {"type": ["string", "null"], "maxLength": 45},
    "enable_dhcp": BOOLEAN,
    "dns_nameservers": {"type": "array", "maxItems": 5, "items": _IP},
    "allocation_pools": _POOLS,
    "host_routes": {"type": "array", "maxItems": 0},
}
_subnet_create = {
    **_subnet_update,
    **_OWNER,
    "network_id": UUID,
    "cidr": {"type": "string", "maxLength": 64},
    "ip_version": {"enum": [4, "4"]},
}
_port_update: dict[str, Any] = {
    "name": _TEXT,
    "description": _TEXT,
    "admin_state_up": BOOLEAN,
    "mac_address": _MAC,
    "fixed_ips": _FIXED_IPS,
    "device_id": _TEXT,
    "device_owner": _TEXT,
    "binding:vnic_type": {"const": "normal"},
    "port_security_enabled": {"enum": [False, "false", "False"]},
    "security_groups": {"type": "array", "maxItems": 0},
}
_port_create = {**_port_update, **_OWNER, "network_id": UUID}


def _body(name: str, properties: dict[str, Any], required: tuple[str, ...] = ()) -> Draft202012Validator:
    return schema(
        {
            "type": "object",
            "properties": {
                name: {
                    "type": "object",
                    "properties": properties,
                    "required": list(required),
                    "additionalProperties": False,
                }
            },
            "required": [name],
            "additionalProperties": False,
        }
    )


CREATE_NETWORK = _body("network", _network_create)
UPDATE_NETWORK = _body("network", _network_update)
CREATE_SUBNET = _body("subnet", _subnet_create, ("network_id", "cidr"))
UPDATE_SUBNET = _body("subnet", _subnet_update)
CREATE_PORT = _body("port", _port_create, ("network_id",))
UPDATE_PORT = _body("port", _port_update)
