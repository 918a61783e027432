"""Flavors, their extra specs and who may use them."""

from __future__ import annotations

from typing import Any

import pytest

from instances.models import Flavor, FlavorAccess
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, at, make_flavor, project_of

BODY = {"name": "m", "ram": 512, "vcpus": 1, "disk": 5}
FIRST = {
    "id", "name", "ram", "disk", "swap", "OS-FLV-EXT-DATA:ephemeral", "OS-FLV-DISABLED:disabled", "vcpus",
    "os-flavor-access:is_public", "rxtx_factor", "links",
}  # fmt: skip


def ids(wire: Wire, query: str = "", path: str = "flavors") -> list[str]:
    reply = wire.get(f"{API}/{path}?{query}")
    assert reply.status_code == 200, reply.content
    return [flavor["id"] for flavor in reply.json()["flavors"]]


@pytest.mark.parametrize(
    ("version", "added"), [("2.1", set()), ("2.55", {"description"}), ("2.61", {"description", "extra_specs"})]
)
def test_a_flavor_has_exactly_the_keys_of_its_microversion(admin: Wire, version: str, added: set[str]) -> None:
    made = admin.post(f"{API}/flavors", {"flavor": BODY}, **at(version))
    assert made.status_code == 200
    assert set(made.json()["flavor"]) == FIRST | added
    key = made.json()["flavor"]["id"]
    assert admin.get(f"{API}/flavors/{key}", **at(version)).json() == made.json()
    assert admin.get(f"{API}/flavors/detail", **at(version)).json()["flavors"] == [made.json()["flavor"]]
    short = admin.get(f"{API}/flavors", **at(version)).json()["flavors"][0]
    assert set(short) == {"id", "name", "links"} | (added & {"description"})


def test_swap_without_swap_is_empty_text_before_2_75(admin: Wire) -> None:
    make_flavor()
    assert admin.get(f"{API}/flavors/small", **at("2.74")).json()["flavor"]["swap"] == ""
    assert admin.get(f"{API}/flavors/small", **at("2.75")).json()["flavor"]["swap"] == 0


def test_the_id_is_chosen_or_made(admin: Wire) -> None:
    def made(**fields: Any) -> str:
        reply = admin.post(f"{API}/flavors", {"flavor": {**BODY, **fields}})
        assert reply.status_code == 200, reply.content
        return reply.json()["flavor"]["id"]

    assert made(name="a", id="my id") == "my id"
    assert made(name="b", id=7) == "7"
    assert len(made(name="c", id="auto")) == 36
    assert len(made(name="d", id=None)) == 36
    assert made(name="e", id="e", swap="512", **{"OS-FLV-EXT-DATA:ephemeral": 3, "rxtx_factor": "2.5"}) == "e"
    row = Flavor.objects.get(flavorid="e")
    assert (row.swap_mib, row.ephemeral_gib, row.rxtx_factor) == (512, 3, 2.5)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""}, {"name": "x" * 256}, {"ram": 0}, {"ram": -1}, {"ram": "much"}, {"vcpus": 0}, {"vcpus": "0"},
        {"disk": -1}, {"disk": 2**31}, {"ram": "9999999999"}, {"id": ""}, {"id": " x"}, {"id": "a/b"}, {"id": "a\n"},
        {"rxtx_factor": 0}, {"os-flavor-access:is_public": "maybe"}, {"colour": "red"}, {"description": "d"},
    ],
)  # fmt: skip
def test_a_wrong_flavor_is_400_and_none_is_made(admin: Wire, fields: dict[str, Any]) -> None:
    reply = admin.post(f"{API}/flavors", {"flavor": {**BODY, **fields}}, **at("2.1"))
    assert reply.status_code == 400, reply.content
    assert next(iter(fields)) in reply.json()["badRequest"]["message"]
    assert not Flavor.objects.exists()


def test_a_taken_name_or_id_is_409(admin: Wire) -> None:
    make_flavor("m", flavorid="1")
    assert admin.post(f"{API}/flavors", {"flavor": BODY}).status_code == 409
    assert admin.post(f"{API}/flavors", {"flavor": {**BODY, "name": "n", "id": "1"}}).status_code == 409


def test_only_admins_make_change_and_delete_flavors(ann: Wire, admin: Wire) -> None:
    make_flavor()
    assert ann.post(f"{API}/flavors", {"flavor": BODY}).status_code == 403
    assert ann.delete(f"{API}/flavors/small").status_code == 403
    assert ann.post(f"{API}/flavors/small/os-extra_specs", {"extra_specs": {"a": "b"}}).status_code == 403
    body = {"flavor": {"description": "new"}}
    assert ann.put(f"{API}/flavors/small", body, **at("2.55")).status_code == 403
    assert admin.put(f"{API}/flavors/small", body, **at("2.54")).status_code == 404
    assert admin.put(f"{API}/flavors/small", body, **at("2.55")).json()["flavor"]["description"] == "new"
    assert admin.delete(f"{API}/flavors/small").status_code == 202
    assert admin.get(f"{API}/flavors/small").status_code == 404
    assert admin.delete(f"{API}/flavors/small").status_code == 404


def test_lists_are_filtered_sorted_and_paged(admin: Wire, ann: Wire) -> None:
    for name, ram, disk in (("c", 100, 1), ("a", 300, 2), ("b", 200, 3)):
        make_flavor(name, memory_mib=ram, disk_gib=disk)
    assert ids(ann) == ["a", "b", "c"]
    assert ids(ann, "minRam=200") == ["a", "b"]
    assert ids(ann, "minDisk=3", path="flavors/detail") == ["b"]
    assert ids(ann, "sort_key=memory_mb&sort_dir=desc") == ["a", "b", "c"]
    page = ann.get(f"{API}/flavors?limit=2").json()
    assert [flavor["id"] for flavor in page["flavors"]] == ["a", "b"]
    assert "marker=b" in page["flavors_links"][0]["href"]
    assert ids(ann, "limit=2&marker=b") == ["c"]
    for query in ("minRam=x", "minDisk=-1", "sort_key=colour", "sort_dir=up", "marker=zz", "limit=x"):
        assert ann.get(f"{API}/flavors?{query}").status_code == 400, query
    assert admin.get(f"{API}/flavors?is_public=maybe").status_code == 400


def test_private_flavors_are_seen_by_admins_who_ask_and_projects_that_were_given_them(
    admin: Wire, ann: Wire, bob: Wire
) -> None:
    make_flavor("open")
    FlavorAccess.objects.create(flavor=make_flavor("closed", is_public=False), project_id=project_of(ann))
    assert ids(admin) == ["open"]
    assert ids(admin, "is_public=None") == ["closed", "open"]
    assert ids(admin, "is_public=False") == ["closed"]
    assert ids(ann) == ["closed", "open"]
    assert ids(bob, "is_public=None") == ["open"]
    assert bob.get(f"{API}/flavors/closed").status_code == 404


def test_access_is_given_shown_and_taken(admin: Wire, ann: Wire) -> None:
    make_flavor("closed", is_public=False)
    make_flavor("open")
    project = project_of(ann)
    path, listed = f"{API}/flavors/closed/action", {"flavor_access": [{"flavor_id": "closed", "tenant_id": project}]}
    give = {"addTenantAccess": {"tenant": project}}
    assert admin.post(path, give).json() == listed
    assert admin.post(path, give).status_code == 409
    assert admin.get(f"{API}/flavors/closed/os-flavor-access").json() == listed
    assert ann.get(f"{API}/flavors/closed").status_code == 200
    assert admin.post(path, {"removeTenantAccess": {"tenant": project}}).json() == {"flavor_access": []}
    assert admin.post(path, {"removeTenantAccess": {"tenant": project}}).status_code == 404
    assert admin.post(f"{API}/flavors/open/action", give).status_code == 409
    assert admin.get(f"{API}/flavors/open/os-flavor-access").status_code == 404
    for body in ({}, {"addTenantAccess": {}}, {"give": {}}, {**give, "removeTenantAccess": {"tenant": "x"}}):
        assert admin.post(path, body).status_code == 400


def test_extra_specs_are_added_read_changed_and_deleted(admin: Wire, ann: Wire) -> None:
    make_flavor()
    path = f"{API}/flavors/small/os-extra_specs"
    assert admin.post(path, {"extra_specs": {"hw:x": "1", "n": 2}}).json() == {"extra_specs": {"hw:x": "1", "n": "2"}}
    assert ann.get(path).json() == {"extra_specs": {"hw:x": "1", "n": "2"}}
    assert ann.get(f"{path}/hw:x").json() == {"hw:x": "1"}
    assert admin.put(f"{path}/n", {"n": "3"}).json() == {"n": "3"}
    assert admin.put(f"{path}/n", {"m": "3"}).status_code == 400
    reply = admin.delete(f"{path}/hw:x")
    assert (reply.status_code, reply.content) == (200, b"")
    assert admin.delete(f"{path}/hw:x").status_code == 404
    assert ann.get(f"{path}/hw:x").status_code == 404
    assert ann.get(path).json() == {"extra_specs": {"n": "3"}}
    for specs in ({"a/b": "1"}, {"a": None}, {"a": "x" * 256}, {"": "1"}, [], None):
        assert admin.post(path, {"extra_specs": specs}).status_code == 400, specs
