"""Requests that a hostile or broken client sends: a seeded stream over every address of the API.

Bodies start from ones that are accepted and are changed in one or two places, so that they come past the first check.
The same seed gives the same requests.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize

METHODS = ("GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "QUERY")
JSON = "application/json"
PATCHES = ("application/openstack-images-v2.1-json-patch", "application/openstack-images-v2.0-json-patch")
MAX_BODY = 200_000
_NIL = "00000000-0000-0000-0000-000000000000"

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 10**30, 1e308, -0.5, 1e-300),
    *("", " ", "\x00", "a\x00b", "😀", "é" * 300, "x" * 70_000, "%s%n", "'; DROP TABLE x;--", "../../etc/passwd"),
    *("\ud800", "\u202e", "null", "NaN", "1e400", "-1", "9" * 40, "²", "٣", "0x10", "true", "10.0.0.0/33"),
    *("2026-13-99T99:99:99Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", _NIL, "[", "(a+)+$", "\\"),
    *("in:", "in:\x00", 'in:"', "gt:", "neq:0001-01-01", "0.0.0.0", "255.255.255.255", "::", "fe80::1%eth0"),
    *([], {}, [[]], [None], [{}], {"": None}, {"\x00": 1}, {"id": {}}, ["\x00"], [0] * 300, {"a": {"b": {"c": []}}}),
)
RAW = (
    *(b"", b"{", b"null", b"[]", b'"x"', b"1e999", b"\xff\xfe", b"\x00", b'{"server":', b'{"a":1}{', b"NaN"),
    *(b"[" * 5_000, b'{"a":' * 5_000, b"[" * 500 + b"]" * 500, b'{"server": "\\ud800"}', b'{"auth": "\\u0000"}'),
    *(b'{"server":{"name":"\\udfff"}}', b"9" * 5_000, b'"' + b"\xf0\x9f\x98\x80" * 99 + b'"', b"\xef\xbb\xbf{}"),
)
SEGMENTS = (
    *("x", "0", "-1", "9" * 30, _NIL, "%00", "a%00b", "%F0%9F%98%80", "%ff", "..", "%2e%2e%2f", "a%0Ab", "%20", "²"),
    *("x" * 300, "x" * 3_000, "'", '"', "<script>", ";", "%25", "None", "detail", "defaults", "٣", "%ED%A0%80"),
)
PARAMETERS = (
    *("limit", "marker", "sort_key", "sort_dir", "sort", "name", "status", "changes-since", "changes-before", "ip"),
    *("id", "uuid", "flavor", "image", "host", "all_tenants", "deleted", "project_id", "tenant_id", "user_id", "tags"),
    *("not-tags-any", "locked", "power_state", "launch_index", "availability_zone", "access_ip_v4", "vm_state"),
    *("minRam", "minDisk", "is_public", "visibility", "member_status", "size_min", "created_at", "os_hidden", "tag"),
    *("protected", "owner", "fields", "network_id", "device_id", "fixed_ips", "mac_address", "admin_state_up", "cidr"),
    *("enabled", "domain_id", "scope.project.id", "include_names", "effective", "type", "interface", "binary"),
    *("hypervisor_hostname_pattern", "with_servers", "in_tree", "nocatalog", "expires", "signature", "page_reverse"),
    *("shared", "router:external", "gateway_ip", "ip_version", "size", "start", "end", "detailed", "x", "a[b]", "\x00"),
)
TEXTS = tuple(value for value in VALUES if isinstance(value, str) and len(value) < 400)
HEADERS = (
    *({"OpenStack-API-Version": value} for value in ("compute 2.²", "compute 99.1", "compute latest", "compute", ",,")),
    *({"OpenStack-API-Version": value} for value in ("compute " + "9" * 400, "placement 1.x", "placement latest")),
    *({"X-OpenStack-Nova-API-Version": value} for value in ("2.1", "x", "2.0", "-2.1", "2.96.1")),
    *({"X-Auth-Token": value} for value in ("", "x", "x" * 4_000, "\u00ff")),
    *({"Accept": value} for value in ("text/html", "*/*;q=x", "application/xml")),
    *({"Content-Type": value} for value in ("", "text/plain", "multipart/form-data", "application/json; charset=x")),
    *({"Content-Type": value} for value in (*PATCHES, "application/x-www-form-urlencoded", "/", "a/b/c;;=")),
    *({"X-Subject-Token": value} for value in ("", "x", "\u00ff")),
    *({"X-Openstack-Request-Id": value} for value in ("x", "req-\u00ff")),
    {"Range": "bytes=5-1"},
    {"Host": "a b"},
    {"If-Match": "x"},
)


@dataclass(frozen=True, kw_only=True)
class HostileRequest:
    """One request; `path` is quoted and has its query string."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = self.body if len(self.body) < 600 else self.body[:600] + b"..."
        return f"{self.method} {self.path[:600]} {self.content_type} {dict(self.headers)} {shown!r}"


def paths() -> list[str]:
    """Every address that the project serves but the admin console's, `%(name)s` where an id stands."""
    return sorted({path for path in _paths(get_resolver(), "") if not path.startswith("/admin")})


def _paths(resolver: URLResolver, prefix: str) -> Iterator[str]:
    for pattern in resolver.url_patterns:
        whole = prefix + re.sub(r"^\^", "", pattern.pattern.regex.pattern)
        if isinstance(pattern, URLResolver):
            yield from _paths(pattern, whole.removesuffix("$").removesuffix(r"\Z"))
        elif isinstance(pattern, URLPattern):
            yield from ("/" + path for path, _ in normalize(whole) if path)


def bodies(ids: Mapping[str, str]) -> dict[str, list[Any]]:
    """Bodies that are accepted, or nearly, by what their address ends with."""
    user = {"name": "admin", "domain": {"id": "default"}, "password": "x"}
    identity = {"methods": ["password"], "password": {"user": user}, "token": {"id": "x"}}
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    server = {
        **{"name": "fuzz", "imageRef": _NIL, "flavorRef": "no-such-flavor", "networks": [{"uuid": _NIL}]},
        **{"min_count": 1, "max_count": 1, "metadata": {"a": "b"}, "tags": ["t"], "user_data": "eA==", "key_name": "k"},
        **{"availability_zone": "nova", "config_drive": True, "security_groups": [{"name": "default"}]},
        **{"description": "d", "hostname": "h", "accessIPv4": "10.0.0.1", "OS-DCF:diskConfig": "AUTO"},
        **{"block_device_mapping_v2": [{"uuid": _NIL, "source_type": "image", "boot_index": 0}], "adminPass": "x"},
    }
    network = ids.get("network_id", _NIL)
    port = {"network_id": network, "name": "p", "fixed_ips": [{"ip_address": "10.255.255.1"}], "device_id": "x"}
    subnet = {"network_id": network, "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1", "dns_nameservers": ["10.0.0.1"]}
    subnet = {**subnet, "allocation_pools": [{"start": "10.0.0.2", "end": "10.0.0.9"}], "ip_version": 4}
    image = {"name": "i", "disk_format": "raw", "container_format": "bare", "min_disk": 1, "tags": ["t"], "p": "v"}
    flavor = {"name": "f", "ram": 1, "vcpus": 1, "disk": 1, "id": "auto", "swap": 0, "rxtx_factor": 1.0}
    update = {"name": "n", "description": "d", "accessIPv4": "10.0.0.1", "hostname": "h"}
    actions = [{"os-getConsoleOutput": {"length": 5}}, {"lock": {"locked_reason": "r"}}, {"unlock": None}, {"x": {}}]
    patches = [{"op": "replace", "path": "/name", "value": "x"}, {"op": "add", "path": "/tags/0", "value": "x"}]
    return {
        "tokens": [{"auth": {"identity": identity, "scope": scope}}],
        "servers": [{"server": server, "os:scheduler_hints": {"group": "x"}}],
        "server_id": [{"server": update}],
        "action": [*actions, {"addTenantAccess": {"tenant": "x"}}, {"removeTenantAccess": {"tenant": "x"}}],
        "metadata": [{"metadata": {"a": "b"}}],
        "key": [{"meta": {"x": "b"}}, {"x": "b"}],
        "tags": [{"tags": ["a", "b"]}],
        "flavors": [{"flavor": flavor}],
        "flavor_id": [{"flavor": {"description": "d"}}],
        "os-extra_specs": [{"extra_specs": {"a": "b"}}],
        "os-keypairs": [{"keypair": {"name": "k", "public_key": "ssh-ed25519 AAAA", "type": "ssh", "user_id": "u"}}],
        "project_id": [{"quota_set": {"cores": 1, "force": True}}, {"project": {"name": "p", "enabled": True}}],
        "name": [{"quota_class_set": {"cores": 1}}],
        "projects": [{"project": {"name": "p", "domain_id": "default", "parent_id": None, "enabled": True}}],
        "users": [{"user": {"name": "u", "password": "x", "email": "e", "default_project_id": None}}],
        "user_id": [{"user": {"name": "u", "password": "x", "enabled": True}}],
        "password": [{"user": {"password": "x", "original_password": "y"}}],
        "roles": [{"role": {"name": "r", "description": "d"}}],
        "role_id": [{"role": {"name": "r"}}],
        "domains": [{"domain": {"name": "d", "enabled": True}}],
        "domain_id": [{"domain": {"name": "d"}}],
        "images": [image],
        "image_id": [patches, [{"replace": "/name", "value": "x"}]],
        "members": [{"member": "x"}],
        "member_id": [{"status": "accepted"}],
        "networks": [{"network": {"name": "n", "mtu": 1500, "shared": True, "provider:network_type": "nat"}}],
        "network_id": [{"network": {"name": "n", "mtu": "1500"}}],
        "subnets": [{"subnet": subnet}],
        "subnet_id": [{"subnet": {key: subnet[key] for key in ("gateway_ip", "dns_nameservers", "allocation_pools")}}],
        "ports": [{"port": port}],
        "port_id": [{"port": {"fixed_ips": [{"ip_address": "10.0.0.9"}], "mac_address": "02:00:00:00:00:01"}}],
        "service_id": [{"status": "disabled", "disabled_reason": "r", "forced_down": False}],
        "verb": [{"host": "h", "binary": "nova-compute", "disabled_reason": "r", "forced_down": True}],
    }


def hostile_requests(seed: int, count: int, ids: Mapping[str, str]) -> Iterator[HostileRequest]:
    """`count` requests. `ids`: what exists, by the name of the address's part; it is named half of the time."""
    draw = random.Random(seed)
    addresses, templates = paths(), bodies(ids)
    for _ in range(count):
        address = draw.choice(addresses)
        path = re.sub(r"%\((\w+)\)s", lambda match: _segment(draw, match[1], ids), address)
        if draw.random() < 0.05:
            path += draw.choice(("/", "//", "/x", "%00", "/..", ";x", "/%2e%2e"))
        method = draw.choice(METHODS)
        if draw.random() < 0.5:
            path += "?" + _query(draw)
        body, content_type = b"", JSON
        if method not in ("GET", "HEAD") or draw.random() < 0.05:
            body, content_type = _body(draw, address, templates, is_file=address.endswith("/file"))
        headers = {"OpenStack-API-Version": "compute latest"} if draw.random() < 0.7 else {}
        if draw.random() < 0.2:
            headers |= draw.choice(HEADERS)
        content_type = headers.pop("Content-Type", content_type)
        yield HostileRequest(method=method, path=path, body=body, content_type=content_type, headers=headers)


def _segment(draw: random.Random, name: str, ids: Mapping[str, str]) -> str:
    if name in ids and draw.random() < 0.6:
        return ids[name]
    return quote(draw.choice(SEGMENTS), safe="%;'.")


def _query(draw: random.Random) -> str:
    pairs = []
    for _ in range(draw.randint(1, 3)):
        name = quote(draw.choice(PARAMETERS))
        for _ in range(draw.choice((1, 1, 1, 2))):
            value = draw.choice((*TEXTS, "%ff", "name", "id:asc", "desc", "1"))
            pairs.append(f"{name}={value if value == '%ff' else quote(value, errors='surrogatepass')}")
    return draw.choice(("&", "&", "&", ";")).join(pairs)


def _body(draw: random.Random, address: str, templates: Mapping[str, list[Any]], *, is_file: bool) -> tuple[bytes, str]:
    if is_file:
        return draw.choice((*RAW, b"QFI\xfb" + bytes(100), b"QFI\xfb\x00\x00\x00\x03" + b"\xff" * 600, bytes(4096))), (
            draw.choice(("application/octet-stream", "application/octet-stream", JSON))
        )
    if draw.random() < 0.1:
        return draw.choice(RAW), JSON
    known = templates.get(re.sub(r"\W", "", address.rsplit("/", 1)[-1].removesuffix(")s").removeprefix("%(")))
    known = known or templates.get(address.rsplit("/", 1)[-1]) or draw.choice(list(templates.values()))
    body = copy.deepcopy(draw.choice(known))
    for _ in range(draw.choice((0, 1, 1, 1, 2))):
        body = _changed(draw, body)
    # What is over the limit is over it by some: a server answers before it has read all of a body of megabytes.
    return json.dumps(body).encode()[:MAX_BODY], draw.choice(PATCHES) if address.endswith("%(image_id)s") else JSON


def _changed(draw: random.Random, body: Any) -> Any:
    """The body with one place of it replaced, left out, doubled or added."""
    places = list(_places(body))
    if not places or draw.random() < 0.05:
        return draw.choice(VALUES)
    holder, key = draw.choice(places)
    deed = draw.random()
    if deed < 0.7:
        holder[key] = draw.choice(VALUES)
    elif deed < 0.8:
        del holder[key]
    elif deed < 0.9:
        holder[key] = [copy.deepcopy(holder[key])] * draw.choice((1, 2, 100))
    elif isinstance(holder, dict):
        holder[draw.choice(("", "\x00", "x", "😀", "x" * 300, "id", "a/b"))] = draw.choice(VALUES)
    return body


def _places(body: Any) -> Iterator[tuple[Any, Any]]:
    items = list(body.items()) if isinstance(body, dict) else list(enumerate(body)) if isinstance(body, list) else []
    for key, value in items:
        yield body, key
        yield from _places(value)
