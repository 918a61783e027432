"""Images on the wire: the requests of the `openstack` client, patches, policy, bad input."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from cloud.identity.models import Project
from cloud.images.models import Image
from tests.unit.identity.wire import Wire
from tests.unit.images.conftest import V2, created, names, uploaded

V21 = "application/openstack-images-v2.1-json-patch"
V20 = "application/openstack-images-v2.0-json-patch"


def patched(wire: Wire, image: dict[str, Any], *operations: Any, media_type: str = V21) -> Any:
    return wire.request("PATCH", f"{V2}/{image['id']}", list(operations), content_type=media_type)


def test_versions_are_open_with_and_without_a_slash(db: None) -> None:
    for path in ("/image", "/image/", "/image/v2", "/image/v2/", "/image/versions"):
        reply = Wire().get(path)
        assert reply.status_code == 300
        current = reply.json()["versions"][0]
        assert (current["id"], current["status"]) == ("v2.16", "CURRENT")
        assert current["links"][0]["href"].endswith("/image/v2/")


def test_the_clients_road_of_an_image(ann: Wire) -> None:
    body = {
        "name": "im2",
        "disk_format": "raw",
        "container_format": "bare",
        "a": "b",
        "owner_specified.openstack.md5": "",
        "owner_specified.openstack.object": "images/im2",
    }
    reply = ann.post(V2, body)
    assert reply.status_code == 201
    image = reply.json()
    assert reply["Location"].endswith(f"/image/v2/images/{image['id']}")
    assert image["a"] == "b"
    assert image["owner_specified.openstack.object"] == "images/im2"
    assert (image["status"], image["visibility"], image["protected"]) == ("queued", "shared", False)
    assert image["file"] == f"/v2/images/{image['id']}/file"
    assert image["owner"] == Project.objects.get(name="blue").pk
    assert uploaded(ann, image, b"data").status_code == 204
    assert ann.get(f"{V2}/{image['id']}").json()["status"] == "active"
    assert names(ann.get(V2)) == ["im2"]
    assert ann.get(f"{V2}/im2").status_code == 404
    assert names(ann.get(f"{V2}?name=im2")) == ["im2"]
    assert ann.get(f"{V2}/{image['id']}/file").status_code == 200
    assert ann.get(f"{V2}/{image['id']}/tasks").json() == {"tasks": []}
    reply = patched(ann, image, {"op": "add", "path": "/x", "value": "y"})
    assert reply.status_code == 200
    assert reply.json()["x"] == "y"
    assert ann.delete(f"{V2}/{image['id']}").status_code == 204
    assert names(ann.get(V2)) == []


def test_an_id_may_be_given_once(ann: Wire) -> None:
    image_id = str(uuid4())
    assert created(ann, id=image_id)["id"] == image_id
    assert ann.post(V2, {"id": image_id}).status_code == 409
    ann.delete(f"{V2}/{image_id}")
    assert ann.post(V2, {"id": image_id}).status_code == 409
    assert ann.post(V2, {"id": "mine"}).status_code == 400


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"name": "x" * 256}, "name"),
        ({"name": 5}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"disk_format": "vmdk"}, "disk_format"),
        ({"disk_format": "QCOW2"}, "disk_format"),
        ({"container_format": "docker"}, "container_format"),
        ({"visibility": "secret"}, "visibility"),
        ({"min_disk": -1}, "min_disk"),
        ({"min_disk": "10"}, "min_disk"),
        ({"min_ram": 2**31}, "min_ram"),
        ({"min_ram": 1e30}, "min_ram"),
        ({"min_ram": True}, "min_ram"),
        ({"protected": "yes"}, "protected"),
        ({"tags": "t"}, "tags"),
        ({"tags": ["x" * 256]}, "tags/0"),
        ({"tags": [1]}, "tags/0"),
        ({"prop": 1}, "prop"),
        ({"prop": {"a": "b"}}, "prop"),
        ({"prop": "a\x00b"}, "prop"),
        ({"a\x00": "b"}, "does not match"),
        ({"": "b"}, "''"),
        ({f"p{number}": "v" for number in range(129)}, "129 properties"),
        ([], "object"),
        ("im1", "object"),
    ],
)
def test_bad_input_is_a_400_that_names_the_field_and_leaves_no_row(ann: Wire, body: Any, named: str) -> None:
    reply = ann.post(V2, body)
    assert reply.status_code == 400
    assert set(reply.json()) == {"message", "code", "title"}
    assert named in reply.json()["message"]
    assert not Image.objects.exists()


@pytest.mark.parametrize("name", ["status", "size", "checksum", "os_hash_value", "created_at", "self", "locations"])
def test_read_only_attributes_are_403(ann: Wire, name: str) -> None:
    reply = ann.post(V2, {"name": "x", name: "1"})
    assert reply.status_code == 403
    assert name in reply.json()["message"]
    image = created(ann)
    assert patched(ann, image, {"op": "add", "path": f"/{name}", "value": "1"}).status_code == 403
    assert patched(ann, image, {"op": "remove", "path": f"/{name}"}).status_code == 403


def test_malformed_json_and_large_bodies(ann: Wire) -> None:
    reply = ann.post(V2, b"{")
    assert reply.status_code == 400
    assert reply.json()["code"] == "400 Bad Request"
    assert ann.post(V2, b'{"name": "' + b"x" * (113 * 1024) + b'"}').status_code == 413
    assert ann.request("POST", V2, b"x=1", content_type="text/plain").status_code == 415


def test_odd_ids_and_queries_are_never_a_500(ann: Wire) -> None:
    for odd in ("%00", "a%00b", "a b", "..", "%F0%9F%8C%8D", "x" * 2000, "{}", "urn:uuid:0", "%ff", "0" * 32):
        for tail in ("", "/file", "/tasks", "/members"):
            assert ann.get(f"{V2}/{odd}{tail}").status_code == 404, odd
    for query in (
        "limit=-1",
        "limit=x",
        f"marker={uuid4()}",
        "marker=im1",
        "sort_key=secret",
        "sort_dir=up",
        "sort=name:sideways",
        "sort_key=name&sort_dir=asc&sort_dir=desc",
        "visibility=none",
        "size_min=x",
        "size_min=-1",
        "created_at=yesterday",
        "created_at=gt:2026-13-01T00:00:00Z",
        "protected=perhaps",
        "member_status=maybe",
        "name=%00",
        "%00=a",
        "os_hidden=x",
    ):
        assert ann.get(f"{V2}?{query}").status_code == 400, query
    for query in (
        "prop__x=1",
        "a'b=1",
        "$.x=1",
        "id=nope",
        "id=in:",
        "tag=%F0%9F%8C%8D",
        "0=a",
        "name=in:%22a",
        "limit=0",
    ):
        assert names(ann.get(f"{V2}?{query}")) == [], query


# --- patches ----------------------------------------------------------------------------------------------------------
def test_patches_of_both_media_types(ann: Wire) -> None:
    image = created(ann, keep="1", drop="2", swap="3")
    reply = patched(
        ann,
        image,
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "remove", "path": "/drop"},
        {"op": "replace", "path": "/swap", "value": "4"},
        {"op": "add", "path": "/a~1b", "value": "slash"},
        {"op": "replace", "path": "/min_disk", "value": 3},
        {"op": "replace", "path": "/tags", "value": ["t1", "t1", "t2"]},
        {"op": "replace", "path": "/protected", "value": True},
    )
    assert reply.status_code == 200
    shown = reply.json()
    assert (shown["name"], shown["min_disk"], shown["tags"], shown["protected"]) == ("new", 3, ["t1", "t2"], True)
    assert (shown["keep"], shown["swap"], shown["a/b"]) == ("1", "4", "slash")
    assert "drop" not in shown
    older = [{"add": "/x", "value": "y"}, {"replace": "/protected", "value": False}, {"remove": "/keep"}]
    reply = patched(ann, image, *older, media_type=V20)
    assert reply.status_code == 200
    assert reply.json()["x"] == "y"
    assert reply.json()["protected"] is False
    assert "keep" not in reply.json()


def test_a_clients_computed_patch_may_address_single_tags(ann: Wire) -> None:
    image = created(ann, tags=["a", "b"])
    reply = patched(
        ann,
        image,
        {"op": "add", "path": "/tags/0", "value": "z"},
        {"op": "add", "path": "/tags/-", "value": "c"},
        {"op": "remove", "path": "/tags/2"},
        {"op": "replace", "path": "/tags/1", "value": "A"},
    )
    assert reply.json()["tags"] == ["z", "A", "c"]
    assert patched(ann, image, {"op": "remove", "path": "/tags/9"}).status_code == 409


@pytest.mark.parametrize(
    ("operation", "code", "named"),
    [
        ({"op": "replace", "path": "/gone", "value": "1"}, 409, "gone"),
        ({"op": "remove", "path": "/gone"}, 409, "gone"),
        ({"op": "remove", "path": "/name"}, 403, "name"),
        ({"op": "move", "path": "/name", "value": "x"}, 400, "op"),
        ({"op": "add", "path": "/x"}, 400, "value"),
        ({"op": "add", "path": "x", "value": "1"}, 400, "path"),
        ({"op": "add", "path": "/", "value": "1"}, 400, "''"),
        ({"op": "add", "path": "/x/y", "value": "1"}, 400, "/x/y"),
        ({"op": "add", "path": "/tags/x", "value": "1"}, 400, "/tags/x"),
        ({"op": "add", "path": "/tags/0", "value": 1}, 400, "tag"),
        ({"op": "add", "path": "/x", "value": 1}, 400, "x"),
        ({"op": "add", "path": "/x", "value": None}, 400, "x"),
        ({"op": "replace", "path": "/min_disk", "value": -1}, 400, "min_disk"),
        ({"op": "replace", "path": "/disk_format", "value": "vhd"}, 400, "disk_format"),
        ({"op": "replace", "path": "/visibility", "value": "public"}, 403, "publicizing"),
        ({"op": "replace", "path": "/owner", "value": "0" * 32}, 403, "another project"),
        ("add", 400, "object"),
    ],
)
def test_a_bad_patch_changes_nothing(ann: Wire, operation: Any, code: int, named: str) -> None:
    image = created(ann)
    before = ann.get(f"{V2}/{image['id']}").json()
    reply = patched(ann, image, {"op": "replace", "path": "/name", "value": "new"}, operation)
    assert reply.status_code == code
    assert named in reply.json()["message"]
    assert ann.get(f"{V2}/{image['id']}").json() == before


def test_a_patch_needs_its_media_type_and_a_list(ann: Wire) -> None:
    image = created(ann)
    assert ann.patch(f"{V2}/{image['id']}", []).status_code == 415
    assert ann.request("PATCH", f"{V2}/{image['id']}", {}, content_type=V21).status_code == 400
    assert patched(ann, image, {"op": "add", "path": "/x", "value": "1"}, media_type=V20).status_code == 400


def test_formats_are_fixed_once_the_bytes_are_there(ann: Wire) -> None:
    image = created(ann, disk_format=None)
    change = {"op": "replace", "path": "/disk_format", "value": "raw"}
    assert patched(ann, image, change).status_code == 200
    assert uploaded(ann, image, b"data").status_code == 204
    assert patched(ann, image, {**change, "value": "qcow2"}).status_code == 403
    assert patched(ann, image, change).status_code == 200


def test_tags_are_put_and_deleted_one_by_one(ann: Wire, bob: Wire) -> None:
    image = created(ann)
    for _ in range(2):
        assert ann.put(f"{V2}/{image['id']}/tags/blue").status_code == 204
    assert ann.get(f"{V2}/{image['id']}").json()["tags"] == ["blue"]
    assert bob.put(f"{V2}/{image['id']}/tags/red").status_code == 404
    assert ann.put(f"{V2}/{image['id']}/tags/{'x' * 256}").status_code == 400
    assert ann.delete(f"{V2}/{image['id']}/tags/blue").status_code == 204
    assert ann.delete(f"{V2}/{image['id']}/tags/blue").status_code == 404


# --- policy -----------------------------------------------------------------------------------------------------------
def test_another_projects_private_image_does_not_exist(ann: Wire, bob: Wire, admin: Wire) -> None:
    image = created(ann, visibility="private")
    path = f"{V2}/{image['id']}"
    assert bob.get(path).status_code == 404
    assert bob.delete(path).status_code == 404
    assert patched(bob, image, {"op": "add", "path": "/x", "value": "1"}).status_code == 404
    assert bob.get(f"{path}/members").status_code == 404
    assert names(bob.get(V2)) == []
    assert names(bob.get(f"{V2}?id={image['id']}")) == []
    assert admin.get(path).status_code == 200
    assert patched(admin, image, {"op": "add", "path": "/x", "value": "1"}).status_code == 200


def test_only_an_admin_publicizes_and_a_public_image_is_changed_by_its_owner(ann: Wire, bob: Wire, admin: Wire) -> None:
    assert ann.post(V2, {"name": "p", "visibility": "public"}).status_code == 403
    image = created(ann)
    assert patched(admin, image, {"op": "replace", "path": "/visibility", "value": "public"}).status_code == 200
    assert names(bob.get(V2)) == ["im1"]
    assert patched(bob, image, {"op": "add", "path": "/x", "value": "1"}).status_code == 403
    assert bob.delete(f"{V2}/{image['id']}").status_code == 403
    assert patched(ann, image, {"op": "add", "path": "/x", "value": "1"}).status_code == 200


def test_a_reader_reads_and_changes_nothing(ann: Wire, rita: Wire) -> None:
    image = created(ann)
    assert rita.get(f"{V2}/{image['id']}").status_code == 200
    assert rita.post(V2, {"name": "x"}).status_code == 403
    assert patched(rita, image, {"op": "add", "path": "/x", "value": "1"}).status_code == 403
    assert rita.delete(f"{V2}/{image['id']}").status_code == 403
    assert rita.put(f"{V2}/{image['id']}/tags/x").status_code == 403
    assert rita.post(f"{V2}/{image['id']}/members", {"member": "p"}).status_code == 403


def test_a_protected_image_is_not_deleted(ann: Wire, admin: Wire) -> None:
    image = created(ann, protected=True)
    for wire in (ann, admin):
        reply = wire.delete(f"{V2}/{image['id']}")
        assert reply.status_code == 403
        assert "protected" in reply.json()["message"]
    patched(ann, image, {"op": "replace", "path": "/protected", "value": False})
    assert ann.delete(f"{V2}/{image['id']}").status_code == 204


def test_sharing_with_a_member(ann: Wire, bob: Wire) -> None:
    image, red = created(ann), Project.objects.get(name="red").pk
    path = f"{V2}/{image['id']}"
    assert bob.get(path).status_code == 404
    reply = ann.post(f"{path}/members", {"member": red})
    assert reply.status_code == 200
    assert (reply.json()["member_id"], reply.json()["status"]) == (red, "pending")
    assert ann.post(f"{path}/members", {"member": red}).status_code == 409
    assert ann.post(f"{path}/members", {"member": ""}).status_code == 400
    assert bob.get(path).status_code == 200
    assert names(bob.get(V2)) == []
    assert names(bob.get(f"{V2}?visibility=shared&member_status=pending")) == ["im1"]
    assert ann.put(f"{path}/members/{red}", {"status": "accepted"}).status_code == 403
    assert bob.put(f"{path}/members/{red}", {"status": "perhaps"}).status_code == 400
    assert bob.put(f"{path}/members/{red}", {"status": "accepted"}).json()["status"] == "accepted"
    assert names(bob.get(V2)) == ["im1"]
    assert bob.delete(f"{path}/members/{red}").status_code == 403
    assert bob.post(f"{path}/members", {"member": "x"}).status_code == 403
    assert [m["member_id"] for m in bob.get(f"{path}/members").json()["members"]] == [red]
    assert ann.get(f"{path}/members/{red}").status_code == 200
    assert ann.delete(f"{path}/members/{red}").status_code == 204
    assert ann.delete(f"{path}/members/{red}").status_code == 404
    assert bob.get(path).status_code == 404
    private = created(ann, visibility="private")
    assert ann.post(f"{V2}/{private['id']}/members", {"member": red}).status_code == 403


def test_a_community_image_is_found_by_id_or_when_asked_for(ann: Wire, bob: Wire) -> None:
    image = created(ann, visibility="community")
    assert bob.get(f"{V2}/{image['id']}").status_code == 200
    assert names(bob.get(V2)) == []
    assert names(bob.get(f"{V2}?visibility=community")) == ["im1"]
