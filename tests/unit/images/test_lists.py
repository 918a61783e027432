"""Image lists (pages, filters, order) and what other rooms call."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from cloud.api.policy import Caller
from cloud.identity.models import Project
from cloud.images import selectors
from tests.unit.identity.wire import Wire
from tests.unit.images import disks
from tests.unit.images.conftest import V2, created, names, uploaded


def test_lists_are_paged_by_marker_and_none_is_missed_or_twice(ann: Wire) -> None:
    for number in range(7):
        created(ann, name=f"n{number % 3}")
    for query in ("", "sort=name:asc", "sort_key=name&sort_dir=desc", "sort_key=size", "sort_key=owner&sort_dir=asc"):
        seen: list[str] = []
        address = f"{V2}?limit=2&{query}"
        while address:
            body = ann.get(address).json()
            assert len(body["images"]) <= 2
            assert body["first"].startswith("/v2/images")
            assert body["schema"] == "/v2/schemas/images"
            seen += [image["id"] for image in body["images"]]
            address = f"/image{body['next']}" if "next" in body else ""
        assert len(seen) == len(set(seen)) == 7, query


def test_a_page_goes_on_after_its_marker_though_newer_images_came(ann: Wire) -> None:
    for number in range(4):
        created(ann, name=f"n{number}")
    first = ann.get(f"{V2}?limit=2").json()
    created(ann, name="newer")
    assert names(ann.get(f"/image{first['next']}")) == ["n1", "n0"]


def test_filters(ann: Wire) -> None:
    small = created(ann, name="small", disk_format="raw", tags=["t", "ünï"], os_distro="debian", protected=True)
    large = created(ann, name="large, or so")
    created(ann, name="hidden", os_hidden=True)
    uploaded(ann, small, b"data")
    uploaded(ann, large, disks.qcow2())
    queued = created(ann, name="queued", tags=["T"])
    cases = {
        "name=small": ["small"],
        "name=in:small,queued": ["queued", "small"],
        "name=in:%22large,%20or%20so%22,queued": ["queued", "large, or so"],
        f"id=in:{small['id']},{queued['id']},nope": ["queued", "small"],
        f"id={small['id']}": ["small"],
        "status=active": ["large, or so", "small"],
        "status=in:queued,saving": ["queued"],
        "disk_format=raw": ["small"],
        "size_min=5": ["large, or so"],
        "size_max=4&status=active": ["small"],
        "tag=t": ["small"],
        "tag=T": ["queued"],
        "tag=%C3%BCn%C3%AF": ["small"],
        "tag=t&tag=x": [],
        "os_distro=debian": ["small"],
        "os_distro=fedora": [],
        "protected=true": ["small"],
        "os_hidden=true": ["hidden"],
        "visibility=public": [],
        f"owner={small['owner']}&name=small": ["small"],
        "created_at=gt:2020-01-01T00:00:00Z&name=small": ["small"],
        "created_at=lt:2020-01-01T00:00:00": [],
        "sort=name:asc": ["large, or so", "queued", "small"],
        "sort_key=size&sort_dir=desc": ["large, or so", "small", "queued"],
    }
    for query, expected in cases.items():
        assert names(ann.get(f"{V2}?{query}")) == expected, query


def test_a_list_takes_two_queries(ann: Wire, django_assert_num_queries: Any) -> None:
    for number in range(5):
        created(ann, name=f"n{number}", tags=["a"])
    with django_assert_num_queries(2):
        ann.get(V2)


@pytest.mark.parametrize("name", ["image", "images", "member", "members"])
def test_schemas_are_served(ann: Wire, name: str) -> None:
    assert ann.get(f"/image/v2/schemas/{name}").json()["name"] == name
    assert ann.get("/image/v2/schemas/other").status_code == 404


# --- what other rooms call --------------------------------------------------------------------------------------------
def caller(project: str, *roles: str) -> Caller:
    project_id = Project.objects.get(name=project).pk
    return Caller(
        user_id="u",
        user_name="u",
        user_domain_id="default",
        project_id=project_id,
        project_name=project,
        roles=frozenset(roles),
    )


def test_an_image_for_a_boot_is_visible_and_active(ann: Wire, bob: Wire) -> None:
    image = created(ann, disk_format="raw", visibility="private")
    blue, red = caller("blue", "member"), caller("red", "member")
    with pytest.raises(selectors.ImageNotActive, match="queued") as not_active:
        selectors.image_for_boot(blue, image["id"])
    assert not_active.value.status == 400
    uploaded(ann, image, b"data")
    assert str(selectors.image_for_boot(blue, image["id"]).pk) == image["id"]
    for who, value in ((red, image["id"]), (blue, str(uuid4())), (blue, "cirros"), (blue, "a\x00")):
        with pytest.raises(selectors.ImageNotFound) as unknown:
            selectors.image_for_boot(who, value)
        assert unknown.value.status == 400
        assert repr(value) in unknown.value.message
    ann.delete(f"{V2}/{image['id']}")
    with pytest.raises(selectors.ImageNotFound):
        selectors.image_for_boot(blue, image["id"])


def test_images_by_id_leaves_out_what_is_unknown_and_keeps_the_deleted(ann: Wire) -> None:
    image = created(ann)
    ann.delete(f"{V2}/{image['id']}")
    found = selectors.images_by_id([image["id"], str(uuid4()), "nope", ""])
    assert [str(key) for key in found] == [image["id"]]
