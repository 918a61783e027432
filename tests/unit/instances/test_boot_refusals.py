"""Whatever is wrong with a create is one clear error that names it, and leaves no row, action, port or claim."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from cloud.images.models import ImageStatus, Visibility
from cloud.networks.models import Port
from cloud.workflow.models import Action
from instances.models import Instance
from scheduling.models import Allocation
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, GIB, Ground, at, make_flavor, make_image, project_of

NOBODY = str(uuid.UUID(int=5))


def nothing_is_left() -> None:
    for model in (Instance, Action, Port, Allocation):
        assert not model.objects.exists(), model


# what is sent → what the message must name
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown flavor": ({"flavorRef": "nope"}, "nope"),
    "unknown image": ({"imageRef": NOBODY}, NOBODY),
    "an image id that is none": ({"imageRef": "tiny"}, "tiny"),
    "no image": ({"imageRef": ""}, "imageRef"),
    "unknown network": ({"networks": [{"uuid": NOBODY}]}, NOBODY),
    "a network id that is none": ({"networks": [{"uuid": "shared"}]}, "shared"),
    "unknown port": ({"networks": [{"port": NOBODY}]}, NOBODY),
    "a network entry that names nothing": ({"networks": [{"fixed_ip": "10.1.0.9"}]}, "networks/0"),
    "an address outside the network": ({"networks": "FIXED"}, "10.9.9.9"),
    "networks of no form": ({"networks": "all"}, "all"),
    "unknown zone": ({"availability_zone": "atlantis"}, "atlantis"),
    "unknown key pair": ({"key_name": "nope"}, "nope"),
    "empty name": ({"name": ""}, "name"),
    "blank name": ({"name": "   "}, "name"),
    "a name over 255": ({"name": "x" * 256}, "name"),
    "a name with a line break": ({"name": "web\n"}, "name"),
    "a name that is a number": ({"name": 7}, "name"),
    "min_count 0": ({"min_count": 0}, "min_count"),
    "min_count below 0": ({"min_count": -1}, "min_count"),
    "min_count as text that is none": ({"min_count": "many"}, "min_count"),
    "max_count 0": ({"max_count": 0}, "max_count"),
    "min_count over max_count": ({"min_count": 3, "max_count": 2}, "min_count"),
    "a count too large": ({"max_count": 10**12}, "max_count"),
    "a count as huge text": ({"min_count": "9999999999", "max_count": "9999999999"}, "min_count"),
    "user data that is no base64": ({"user_data": "#!/bin/sh"}, "user_data"),
    "user data too long": ({"user_data": base64.b64encode(b"x" * 49_152).decode()}, "user_data"),
    "user data that is no text": ({"user_data": 7}, "user_data"),
    "metadata that is no text": ({"metadata": {"a": 1}}, "metadata/a"),
    "a metadata key over 255": ({"metadata": {"k" * 256: "v"}}, "metadata"),
    "a metadata value over 255": ({"metadata": {"k": "v" * 256}}, "metadata/k"),
    "metadata with a null character": ({"metadata": {"k": "v\x00"}}, "metadata/k"),
    "a tag with a slash": ({"tags": ["a/b"]}, "tags"),
    "too many tags": ({"tags": [f"t{i}" for i in range(51)]}, "tags"),
    "injected files": ({"personality": []}, "personality"),
    "a volume": (
        {"block_device_mapping_v2": [{"uuid": NOBODY, "source_type": "volume", "boot_index": 0}], "imageRef": ""},
        "volumes are not served",
    ),
    "an image to a volume": (
        {"block_device_mapping_v2": [{"uuid": NOBODY, "source_type": "image", "destination_type": "volume"}]},
        "not served yet",
    ),
    "two devices": ({"block_device_mapping_v2": [{}, {}]}, "not served yet"),
    "the older device mapping": ({"block_device_mapping": [{"volume_id": NOBODY}]}, "not served yet"),
    "certificates": ({"trusted_image_certificates": ["c"]}, "trusted_image_certificates"),
    "an access address that is none": ({"accessIPv4": "300.1.1.1"}, "accessIPv4"),
    "an IPv6 access address that is none": ({"accessIPv6": "10.0.0.1"}, "accessIPv6"),
    "a hostname with a dot": ({"hostname": "a.b"}, "hostname"),
    "a hostname with a line break": ({"hostname": "ab\n"}, "hostname"),
    "one hostname for two": ({"hostname": "ab", "max_count": 2}, "hostname"),
    "a field that nobody knows": ({"flavour": "small"}, "flavour"),
    "a security group without name": ({"security_groups": [{}]}, "security_groups"),
    "a disk config that is none": ({"OS-DCF:diskConfig": "auto"}, "diskConfig"),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_a_create_is_refused_with_400_and_the_cause(ann: Wire, ground: Ground, what: str) -> None:
    fields, named = REFUSED[what]
    if fields.get("networks") == "FIXED":
        fields = {"networks": [{"uuid": str(ground.network.pk), "fixed_ip": "10.9.9.9"}]}
    reply = ground.boot(ann, **fields)
    assert reply.status_code == 400, reply.content
    error = reply.json()["badRequest"]
    assert error["code"] == 400
    assert named.lower() in error["message"].lower()
    nothing_is_left()


@pytest.mark.parametrize("missing", ["name", "flavorRef", "networks"])
def test_a_create_without_a_field_that_it_needs_is_refused(ann: Wire, ground: Ground, missing: str) -> None:
    reply = ground.boot(ann, **{missing: None})
    assert reply.status_code == 400
    assert missing in reply.json()["badRequest"]["message"]
    nothing_is_left()


IMAGES: dict[str, tuple[Callable[[], Any], str]] = {
    "queued": (lambda: make_image("q", status=ImageStatus.QUEUED, size=0, virtual_size=0), "queued"),
    "deleted": (lambda: make_image("d", status=ImageStatus.DELETED), "image"),
    "another project's": (lambda: make_image("p", visibility=Visibility.PRIVATE), "image"),
    "of more memory than the flavor": (lambda: make_image("m", min_ram=1024), "memory"),
    "of more minimal disk than the flavor": (lambda: make_image("d", min_disk=11), "disk"),
    "larger than the flavor's disk": (lambda: make_image("l", virtual_size=10 * GIB + 1), "disk"),
    "of unknown virtual size and too many bytes": (lambda: make_image("b", virtual_size=0, size=11 * GIB), "disk"),
}


@pytest.mark.parametrize("what", list(IMAGES))
def test_an_image_that_cannot_boot_here_is_400(ann: Wire, ground: Ground, what: str) -> None:
    make, named = IMAGES[what]
    reply = ground.boot(ann, imageRef=str(make().pk))
    assert reply.status_code == 400, reply.content
    assert named in reply.json()["badRequest"]["message"].lower()
    nothing_is_left()


def test_a_disabled_flavor_is_400(ann: Wire, ground: Ground) -> None:
    make_flavor("old", is_disabled=True)
    assert ground.boot(ann, flavorRef="old").status_code == 400
    nothing_is_left()


def test_a_server_group_that_does_not_exist_is_400(ann: Wire, ground: Ground) -> None:
    reply = ground.boot(ann, hints={"group": NOBODY})
    assert reply.status_code == 400
    assert NOBODY in reply.json()["badRequest"]["message"]
    nothing_is_left()


def test_several_servers_cannot_share_one_address(ann: Wire, ground: Ground) -> None:
    asked = [{"uuid": str(ground.network.pk), "fixed_ip": "10.1.0.50"}]
    assert ground.boot(ann, networks=asked, max_count=2).status_code == 400
    nothing_is_left()


@pytest.mark.parametrize("body", [b"{", b"[]", b'"server"', b"{}", b'{"server": []}', b'{"server": null}', b"\xff"])
def test_a_malformed_body_is_400(ann: Wire, ground: Ground, body: bytes) -> None:
    reply = ann.request("POST", f"{API}/servers", body, **at("2.96"))
    assert reply.status_code == 400, reply.content
    nothing_is_left()


def test_a_body_over_112_kib_is_413(ann: Wire, ground: Ground) -> None:
    reply = ann.post(f"{API}/servers", ground.server(metadata={"a": "x" * 115_000}), **at("2.96"))
    assert reply.status_code == 413
    assert reply.json()["overLimit"]["code"] == 413
    nothing_is_left()


def test_an_unknown_microversion_is_406_and_no_token_401(ann: Wire, ground: Ground) -> None:
    assert ground.boot(ann, version="2.200").status_code == 406
    assert ground.boot(Wire()).status_code == 401
    assert ground.boot(Wire(token="gAAAA-unknown")).status_code == 401
    nothing_is_left()


def test_another_projects_private_network_is_400(ann: Wire, bob: Wire, ground: Ground) -> None:
    ground.network.is_shared = False
    ground.network.project_id = project_of(bob)
    ground.network.save()
    assert ground.boot(ann).status_code == 400
    nothing_is_left()
    assert ground.boot(bob).status_code == 202
