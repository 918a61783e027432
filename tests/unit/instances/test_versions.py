"""Discovery, and the microversion of each reply."""

from __future__ import annotations

import pytest
from django.conf import settings

from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, at

HREF = f"{settings.PUBLIC_URL}/compute"


@pytest.mark.parametrize("path", ["/compute", "/compute/"])
def test_the_versions_are_open_and_point_to_themselves(db: None, path: str) -> None:
    reply = Wire().get(path)
    assert reply.status_code == 200
    old, current = reply.json()["versions"]
    assert (old["id"], old["status"], old["version"]) == ("v2.0", "SUPPORTED", "")
    assert (current["id"], current["status"]) == ("v2.1", "CURRENT")
    assert (current["min_version"], current["version"]) == ("2.1", "2.96")
    assert current["links"] == [{"rel": "self", "href": f"{HREF}/v2.1/"}]


@pytest.mark.parametrize(("path", "identifier"), [("v2.1", "v2.1"), ("v2.1/", "v2.1"), ("v2", "v2.0"), ("v2/", "v2.0")])
def test_a_version_shows_the_self_link_that_the_list_gave(db: None, path: str, identifier: str) -> None:
    listed = {each["id"]: each for each in Wire().get("/compute").json()["versions"]}
    shown = Wire().get(f"/compute/{path}").json()["version"]
    assert shown["id"] == identifier
    assert listed[identifier]["links"][0] in shown["links"]
    assert shown["media-types"][0]["base"] == "application/json"


def test_a_reply_says_its_microversion_and_carries_a_request_id(admin: Wire) -> None:
    reply = admin.get(f"{API}/servers", **at("2.42"))
    assert reply["OpenStack-API-Version"] == "compute 2.42"
    assert reply["X-OpenStack-Nova-API-Version"] == "2.42"
    assert "OpenStack-API-Version" in reply["Vary"]
    assert reply["X-Openstack-Request-Id"].startswith("req-")


def test_an_unknown_microversion_is_406_and_a_malformed_one_400(admin: Wire) -> None:
    assert admin.get(f"{API}/servers", **at("2.97")).status_code == 406
    assert admin.get(f"{API}/servers", **at("3.1")).json()["computeFault"]["code"] == 406
    assert admin.get(f"{API}/servers", **at("two")).status_code == 400
    assert admin.get(f"{API}/servers", **at("latest"))["OpenStack-API-Version"] == "compute 2.96"


def test_without_a_token_a_list_is_401(db: None) -> None:
    reply = Wire().get(f"{API}/servers")
    assert reply.status_code == 401
    assert reply["WWW-Authenticate"] == "Keystone"


@pytest.mark.parametrize("path", ["servers", "servers/detail", "flavors", "os-keypairs", "limits", "extensions"])
def test_a_trailing_slash_answers_the_same_without_a_redirect(admin: Wire, path: str) -> None:
    assert admin.get(f"{API}/{path}").status_code == 200
    assert admin.get(f"{API}/{path}/").status_code == 200
    assert admin.get(f"/compute/v2/{path}").status_code == 200
