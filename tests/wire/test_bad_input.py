"""Bad input over real HTTP: each is one clear error in the wire's shape, and nothing of it is left."""

from __future__ import annotations

import base64
import re
import secrets
import socket
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.running_cloud import RunningCloud, virsh, wait_for
from tests.unit.images import disks
from tests.wire.hostile_user import LATEST, HostileUser, census

pytestmark = [pytest.mark.wire, pytest.mark.real]

NOBODY = str(uuid.UUID(int=5))
SERVERS = "/compute/v2.1/servers"


@pytest.fixture(scope="module")
def admin(cloud: RunningCloud) -> HostileUser:
    return HostileUser(cloud, cloud.token())


@pytest.fixture(scope="module")
def flavor(admin: HostileUser) -> Iterator[str]:
    """The id of a flavor of one GiB of disk."""
    name = f"bad-{secrets.token_hex(4)}"
    wanted = {"name": name, "id": name, "ram": 128, "vcpus": 1, "disk": 1}
    yield admin.ok("POST", "/compute/v2.1/flavors", {"flavor": wanted})["flavor"]["id"]
    admin.send("DELETE", f"/compute/v2.1/flavors/{name}")


@pytest.fixture(scope="module")
def image(cloud: RunningCloud, admin: HostileUser) -> Iterator[str]:
    """The id of an image that would boot."""
    image_id = admin.queued_image()
    assert admin.upload(image_id, (cloud.state_dir / "tiny" / "tiny.qcow2").read_bytes()).status_code == 204
    yield image_id
    admin.send("DELETE", f"/image/v2/images/{image_id}")


@pytest.fixture(scope="module")
def network(admin: HostileUser) -> str:
    return str(admin.ok("GET", "/networking/v2.0/networks?name=shared")["networks"][0]["id"])


@pytest.fixture(scope="module")
def good(flavor: str, image: str, network: str) -> dict[str, Any]:
    """What a create that is accepted asks for."""
    return {"name": "bad", "flavorRef": flavor, "imageRef": image, "networks": [{"uuid": network}]}


@pytest.fixture(scope="module")
def stranger(cloud: RunningCloud, admin: HostileUser) -> Iterator[HostileUser]:
    """A member of a project of its own."""
    name, password = f"stranger-{secrets.token_hex(4)}", secrets.token_hex(8)
    v3 = "/identity/v3"
    project = admin.ok("POST", f"{v3}/projects", {"project": {"name": name}})["project"]["id"]
    wanted = {"name": name, "password": password, "default_project_id": project}
    user = admin.ok("POST", f"{v3}/users", {"user": wanted})["user"]["id"]
    role = admin.ok("GET", f"{v3}/roles?name=member")["roles"][0]["id"]
    admin.ok("PUT", f"{v3}/projects/{project}/users/{user}/roles/{role}")
    identity = {"methods": ["password"], "password": {"user": {"id": user, "password": password}}}
    body = {"auth": {"identity": identity, "scope": {"project": {"id": project}}}}
    reply = HostileUser(cloud, "").send("POST", f"{v3}/auth/tokens", body)
    yield HostileUser(cloud, reply.headers["X-Subject-Token"])
    admin.send("DELETE", f"{v3}/users/{user}")
    admin.send("DELETE", f"{v3}/projects/{project}")


@pytest.fixture(scope="class")
def _nothing_is_left(cloud: RunningCloud, good: dict[str, Any], stranger: HostileUser) -> Iterator[None]:
    """Counted around a class of tests: no row, file, port or claim more than before."""
    before = census(cloud)
    yield
    assert census(cloud) == before


def said(reply: requests.Response, status: int, key: str = "badRequest") -> str:
    """The message of an error of compute, whose shape is asserted."""
    assert reply.status_code == status, reply.text[:500]
    assert re.fullmatch(r"req-[0-9a-f-]{36}", reply.headers["X-Openstack-Request-Id"])
    ((found, error),) = reply.json().items()
    assert found == key
    assert error["code"] == status
    return str(error["message"])


def image_error(reply: requests.Response) -> str:
    """The message of a 400 of the image service, whose shape is asserted."""
    assert reply.status_code == 400, reply.text[:500]
    assert reply.json()["code"] == "400 Bad Request"
    return str(reply.json()["message"])


# --- creates that are refused -----------------------------------------------------------------------------------------

# what is wrong → what is sent, and what the message names: the field, the value
REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown flavor": ({"flavorRef": "no-such-flavor"}, ("Flavor", "no-such-flavor")),
    "unknown image": ({"imageRef": NOBODY}, ("image", NOBODY)),
    "image id that is none": ({"imageRef": "tiny!"}, ("imageRef", "tiny!")),
    "unknown network": ({"networks": [{"uuid": NOBODY}]}, ("etwork", NOBODY)),
    "unknown zone": ({"availability_zone": "atlantis"}, ("availability zone", "atlantis")),
    "unknown key pair": ({"key_name": "nobodys"}, ("key_name", "nobodys")),
    "empty name": ({"name": ""}, ("name", "''")),
    "name of 256 characters": ({"name": "x" * 256}, ("name", "xxx")),
    "min_count of 0": ({"min_count": 0}, ("min_count", "0")),
    "negative max_count": ({"max_count": -1}, ("max_count", "-1")),
    "min_count over max_count": ({"min_count": 3, "max_count": 2}, ("min_count is 3", "max_count is 2")),
    "huge max_count": ({"max_count": 10**12}, ("max_count", "1000000000000")),
    "user data over 65,535 characters": (
        {"user_data": base64.b64encode(b"x" * 49_152).decode()},
        ("user_data", "65536"),
    ),
    "user data that is not base64": ({"user_data": "#!/bin/sh"}, ("user_data", "#!/bin/sh")),
}


@pytest.mark.usefixtures("_nothing_is_left")
class TestRefusedCreates:
    """`POST /servers` with one thing wrong."""

    @pytest.mark.parametrize("what", list(REFUSED))
    def test_a_create_is_refused_and_names_field_and_value(
        self, admin: HostileUser, good: dict[str, Any], what: str
    ) -> None:
        fields, named = REFUSED[what]
        message = said(admin.boot({**good, **fields}), 400)
        for part in named:
            assert part.lower() in message.lower()

    def test_an_image_without_bytes_is_refused(self, admin: HostileUser, good: dict[str, Any]) -> None:
        queued = admin.queued_image()
        message = said(admin.boot({**good, "imageRef": queued}), 400)
        assert queued in message
        assert "queued" in message
        assert admin.send("DELETE", f"/image/v2/images/{queued}").status_code == 204
        assert queued in said(admin.boot({**good, "imageRef": queued}), 400)
        forget(admin.cloud, queued)

    def test_an_image_larger_than_the_flavors_disk_is_refused(self, admin: HostileUser, good: dict[str, Any]) -> None:
        large = admin.queued_image()
        assert admin.upload(large, disks.qcow2(virtual_size=2 * 1024**3)).status_code == 204
        message = said(admin.boot({**good, "imageRef": large}), 400)
        assert "disk is too small" in message
        assert str(2 * 1024**3) in message
        assert str(1024**3) in message
        assert admin.send("DELETE", f"/image/v2/images/{large}").status_code == 204
        forget(admin.cloud, large)

    def test_another_projects_image_and_network_are_unknown(
        self, stranger: HostileUser, good: dict[str, Any], image: str
    ) -> None:
        assert image in said(stranger.boot(good), 400)

    @pytest.mark.parametrize("body", [b"{", b'{"server": ', b"[1", b"\xff\xfe", b"[" * 20_000])
    def test_malformed_json_is_400(self, admin: HostileUser, body: bytes) -> None:
        assert "malformed" in said(admin.send("POST", SERVERS, body), 400).lower()

    @pytest.mark.parametrize("size", [112 * 1024 + 1, 30_000_000])
    def test_a_body_over_112_kib_is_413(self, admin: HostileUser, size: int) -> None:
        head, tail = b'{"server": {"name": "', b'"}}'
        body = head + b"x" * (size - len(head) - len(tail)) + tail
        message = said(admin.send("POST", SERVERS, body), 413, "overLimit")
        assert str(size) in message
        assert str(112 * 1024) in message

    def test_a_chunked_body_is_not_a_way_round_the_limit(self, admin: HostileUser) -> None:
        headers = {"X-Auth-Token": admin.token, "Content-Type": "application/json", **LATEST}
        chunks = iter([b'{"server": {"name": "', *([b"x" * 65_536] * 32), b'"}}'])
        reply = requests.post(admin.cloud.base + SERVERS, data=chunks, headers=headers, timeout=60)
        assert reply.status_code in (400, 411, 413)

    def test_an_unknown_microversion_is_406(self, admin: HostileUser) -> None:
        reply = admin.send("GET", SERVERS, **{"OpenStack-API-Version": "compute 2.999"})
        message = said(reply, 406, "computeFault")
        assert "2.999" in message
        assert "2.96" in message


def forget(cloud: RunningCloud, image_id: str) -> None:
    """Removes the row that a deleted image keeps for a month, so that counts agree."""
    cloud.manage(
        "shell", "-c", f"from cloud.images.models import Image; Image.objects.filter(pk={image_id!r}).delete()"
    )


# --- callers ----------------------------------------------------------------------------------------------------------


class TestCallers:
    """Tokens that are not good, and objects of others."""

    def test_an_unknown_token_is_401_and_creates_nothing(
        self, cloud: RunningCloud, admin: HostileUser, good: dict[str, Any]
    ) -> None:
        before = admin.ok("GET", f"{SERVERS}?all_tenants=1")
        for token in ("", "nonsense", "x" * 4_000, "gAAAAAB" + "é" * 9):
            nobody = HostileUser(cloud, token.encode().decode("latin-1"))
            reply = nobody.boot(good)
            assert "requires authentication" in said(reply, 401, "unauthorized")
            assert reply.headers["WWW-Authenticate"].startswith("Keystone")
        assert admin.ok("GET", f"{SERVERS}?all_tenants=1") == before

    def test_an_expired_and_a_revoked_token_are_401(self, cloud: RunningCloud, good: dict[str, Any]) -> None:
        old, revoked = HostileUser(cloud, cloud.token()), HostileUser(cloud, cloud.token())
        assert old.send("GET", SERVERS).status_code == 200
        cloud.manage(
            *("shell", "-c"),
            "from cloud.identity.models import Token; from cloud.identity.tokens import hash_of; "
            "from django.utils import timezone; "
            f"print(Token.objects.filter(hash=hash_of({old.token!r})).update(expires_at=timezone.now()))",
        )
        assert old.boot(good).status_code == 401
        reply = revoked.send("DELETE", "/identity/v3/auth/tokens", **{"X-Subject-Token": revoked.token})
        assert reply.status_code == 204
        assert revoked.boot(good).status_code == 401

    def test_another_projects_server_is_404(
        self, cloud: RunningCloud, admin: HostileUser, stranger: HostileUser, good: dict[str, Any]
    ) -> None:
        server_id = admin.boot(good).json()["server"]["id"]
        try:
            wait_for("the server to be ACTIVE", lambda: cloud.status_of(server_id) == "ACTIVE", timeout=180)
            at = f"{SERVERS}/{server_id}"
            for method, path, body in (
                ("GET", at, None),
                ("PUT", at, {"server": {"name": "mine"}}),
                ("DELETE", at, None),
                ("POST", f"{at}/action", {"os-getConsoleOutput": {}}),
                ("POST", f"{at}/action", {"lock": None}),
                ("GET", f"{at}/os-instance-actions", None),
                ("GET", f"{at}/os-interface", None),
                ("PUT", f"{at}/tags", {"tags": ["mine"]}),
                ("POST", f"{at}/metadata", {"metadata": {"is": "mine"}}),
            ):
                assert server_id in said(stranger.send(method, path, body), 404, "itemNotFound")
            assert stranger.ok("GET", SERVERS)["servers"] == []
            shown = cloud.server(server_id)
            assert (shown["name"], shown["status"], shown["tags"]) == ("bad", "ACTIVE", [])
        finally:
            assert admin.send("DELETE", f"{SERVERS}/{server_id}").status_code == 204
            wait_for("the server to be gone", lambda: cloud.status_of(server_id) is None)


# --- uploads ----------------------------------------------------------------------------------------------------------

UPLOADS: dict[str, tuple[str, bytes, str]] = {
    "a qcow2 with a backing file": ("qcow2", disks.with_backing_file(), "backing_file"),
    "a qcow2 with a data file": ("qcow2", disks.with_data_file(), "data_file"),
    "a qcow2 declared as raw": ("raw", disks.qcow2(), "qcow2"),
    "another format declared as raw": ("raw", disks.vmdk(), "raw"),
    "a raw disk declared as qcow2": ("qcow2", disks.raw(), "qcow2"),
    "a qcow2 cut off in its header": ("qcow2", disks.qcow2()[:40], "qcow2"),
    "a qcow2 of 2 EiB": ("qcow2", disks.qcow2(virtual_size=2**61), str(2**61)),
    "nothing": ("qcow2", b"", "empty"),
}


@pytest.fixture(scope="class")
def queued(admin: HostileUser) -> Iterator[dict[str, str]]:
    """A queued image of each format."""
    images = {name: admin.queued_image(name) for name in ("qcow2", "raw")}
    yield images
    for image_id in images.values():
        admin.send("DELETE", f"/image/v2/images/{image_id}")


@pytest.mark.usefixtures("queued", "_nothing_is_left")
class TestRefusedUploads:
    """The image stays queued, and none of the bytes stays."""

    @pytest.mark.parametrize("what", list(UPLOADS))
    def test_an_upload_is_refused(self, admin: HostileUser, queued: dict[str, str], what: str) -> None:
        declared, data, named = UPLOADS[what]
        image_id = queued[declared]
        assert named in image_error(admin.upload(image_id, data))
        assert admin.image_status(image_id) == "queued"

    def test_an_upload_that_breaks_off_leaves_the_image_queued(
        self, admin: HostileUser, queued: dict[str, str]
    ) -> None:
        at = urlsplit(admin.cloud.base)
        with socket.create_connection((str(at.hostname), at.port or 80), timeout=30) as line:
            head = (
                f"PUT /image/v2/images/{queued['qcow2']}/file HTTP/1.1\r\nHost: {at.netloc}\r\n"
                f"X-Auth-Token: {admin.token}\r\nContent-Type: application/octet-stream\r\n"
                "Content-Length: 1000000\r\n\r\n"
            )
            line.sendall(head.encode() + disks.qcow2()[:5_000])
            wait_for("the upload to begin", lambda: admin.image_status(queued["qcow2"]) == "saving", timeout=30)
        wait_for("the image to be queued again", lambda: admin.image_status(queued["qcow2"]) == "queued", timeout=30)

    def test_bytes_of_another_media_type_are_415(self, admin: HostileUser, queued: dict[str, str]) -> None:
        reply = admin.send("PUT", f"/image/v2/images/{queued['qcow2']}/file", b"{}")
        assert reply.status_code == 415
        assert admin.image_status(queued["qcow2"]) == "queued"


# --- a file damaged in the store --------------------------------------------------------------------------------------


def dhcp_entries() -> list[str]:
    """The addresses that libvirt's networks give out, of all networks."""
    names = [name for name in virsh("net-list", "--all", "--name").split() if name.startswith("kn-")]
    return sorted(f"{name} {entry}" for name in names for entry in re.findall("<host .*", virsh("net-dumpxml", name)))


def test_a_file_damaged_in_the_store_ends_in_error_with_its_cause(
    cloud: RunningCloud, admin: HostileUser, good: dict[str, Any]
) -> None:
    # Bytes of its own: hosts keep base images by their checksum, and none may have this one.
    data = (cloud.state_dir / "tiny" / "tiny.qcow2").read_bytes() + secrets.token_bytes(65_536)
    image_id = admin.queued_image()
    assert admin.upload(image_id, data).status_code == 204
    stored = cloud.state_dir / "images" / image_id
    with stored.open("r+b") as file:
        file.seek(len(data) // 2)
        file.write(bytes(byte ^ 0xFF for byte in data[len(data) // 2 :][:16]))
    before = census(cloud)
    entries = dhcp_entries()
    server_id = admin.boot({**good, "imageRef": image_id}).json()["server"]["id"]
    try:
        wait_for("the server to end in ERROR", lambda: cloud.status_of(server_id) == "ERROR", timeout=120)
        fault = cloud.server(server_id)["fault"]
        assert image_id in fault["message"]
        assert "SHA-512" in fault["message"]
        assert server_id not in virsh("list", "--all", "--uuid")
        assert dhcp_entries() == entries
        assert admin.ok("GET", f"/networking/v2.0/ports?device_id={server_id}")["ports"] == []
        assert admin.ok("GET", f"/placement/allocations/{server_id}")["allocations"] == {}
        after = census(cloud)
        assert after.files == before.files
        added = {
            model: count - before.rows[model] for model, count in after.rows.items() if count != before.rows[model]
        }
        assert added == {"instances.Instance": 1, "workflow.Action": 1}
    finally:
        admin.send("DELETE", f"{SERVERS}/{server_id}")
        wait_for("the server to be gone", lambda: cloud.status_of(server_id) is None)
        admin.send("DELETE", f"/image/v2/images/{image_id}")
