"""Rebuild, rescue and evacuate on the wire: bodies, replies by microversion, refusals."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cloud.identity.models import User
from cloud.images.models import Visibility
from cloud.workflow.models import Action, Host, Service
from instances.models import Instance, KeyPair, Migration, MigrationStatus, MigrationType
from instances.secrets import password_of
from instances.states import PowerState, TaskState, VmState
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, GIB, Ground, at, make_image, make_instance, project_of
from tests.unit.scheduling.conftest import make_node

IDS = "7c8e2c3e-1b0a-4a53-9a58-0000000000aa"
BRIEF = {
    *("id", "name", "status", "tenant_id", "user_id", "metadata", "hostId", "image", "flavor", "created", "updated"),
    *("addresses", "accessIPv4", "accessIPv6", "links", "OS-DCF:diskConfig", "progress", "adminPass"),
}


@pytest.fixture
def server(ann: Wire, ground: Ground) -> Instance:
    return make_instance(project_of(ann), network=ground.network, image_id=str(ground.image.pk))


def act(wire: Wire, server: Instance, verb: str, body: Any = None, version: str = "2.96") -> Any:
    return wire.post(f"{API}/servers/{server.pk}/action", {verb: body}, **at(version))


def rebuild(wire: Wire, server: Instance, image: Any, version: str = "2.96", **fields: Any) -> Any:
    return act(wire, server, "rebuild", {"imageRef": str(getattr(image, "pk", image)), **fields}, version)


def assert_nothing_changed(server: Instance, reply: Any, status: int, *words: str) -> None:
    assert reply.status_code == status, reply.content
    for word in words:
        assert word in reply.content.decode()
    assert not Action.objects.exists()
    assert not Migration.objects.exists()
    assert Instance.objects.values().get(pk=server.pk) == server_values(server)


def server_values(server: Instance) -> dict[str, Any]:
    return {field.attname: getattr(server, field.attname) for field in Instance._meta.concrete_fields}


# --- rebuild ----------------------------------------------------------------------------------------------------------


def test_a_rebuild_answers_with_the_server_as_it_is_going_to_be_and_changes_the_task_state_alone(
    ann: Wire, server: Instance
) -> None:
    image = make_image("other")
    user = User.objects.get(name="ann")
    KeyPair.objects.create(user_id=user.pk, name="k", public_key="ssh-ed25519 AAAA", fingerprint="f")
    data = base64.b64encode(b"#!/bin/sh").decode()
    asked = {
        **{"name": " new ", "metadata": {"a": "b"}, "adminPass": "pw", "description": "d", "hostname": "h"},
        **{"key_name": "k", "user_data": data, "accessIPv4": "192.0.2.7", "OS-DCF:diskConfig": "AUTO"},
        **{"preserve_ephemeral": False, "trusted_image_certificates": None},
    }
    reply = rebuild(ann, server, image, **asked)
    assert reply.status_code == 202
    assert reply["Location"].endswith(f"/servers/{server.pk}")
    shown = reply.json()["server"]
    assert (shown["status"], shown["image"]["id"], shown["name"]) == ("REBUILD", str(image.pk), "new")
    assert (shown["metadata"], shown["adminPass"], shown["description"]) == ({"a": "b"}, "pw", "d")
    assert (shown["key_name"], shown["user_data"], shown["accessIPv4"]) == ("k", data, "192.0.2.7")
    assert (shown["OS-DCF:diskConfig"], shown["OS-EXT-SRV-ATTR:hostname"]) == ("AUTO", "h")
    assert shown["server_groups"] == []
    row = Instance.objects.get()
    assert (row.task_state, row.display_name, row.image_id) == (TaskState.REBUILDING, "web", server.image_id)
    action = Action.objects.get()
    assert (action.operation, password_of(action)) == ("rebuild", "pw")
    assert "pw" not in action.parameters.values()
    assert action.parameters["changes"]["key_data"] == "ssh-ed25519 AAAA"


@pytest.mark.parametrize(
    ("version", "more"),
    [
        ("2.1", set()),
        ("2.9", {"locked"}),
        ("2.19", {"locked", "description"}),
        ("2.26", {"locked", "description", "tags"}),
        ("2.54", {"locked", "description", "tags", "key_name"}),
        ("2.57", {"locked", "description", "tags", "key_name", "user_data"}),
        (
            "2.71",
            {"locked", "description", "tags", "key_name", "user_data", "trusted_image_certificates", "server_groups"},
        ),
    ],
)
def test_before_2_75_the_reply_is_the_brief_form(
    ann: Wire, server: Instance, ground: Ground, version: str, more: set[str]
) -> None:
    shown = rebuild(ann, server, ground.image, version).json()["server"]
    assert set(shown) == BRIEF | more
    assert all("OS-EXT-IPS:type" not in address for each in shown["addresses"].values() for address in each)
    assert shown["addresses"]


def test_from_2_75_the_reply_is_what_get_gives_with_password_and_user_data(
    ann: Wire, admin: Wire, server: Instance, ground: Ground
) -> None:
    shown = rebuild(ann, server, ground.image, "2.75").json()["server"]
    assert set(shown) == set(ann.get(f"{API}/servers/{server.pk}", **at("2.75")).json()["server"]) | {
        "adminPass",
        "user_data",
    }
    assert len(shown["adminPass"]) == 12
    assert shown["user_data"] is None


def test_null_takes_key_and_user_data_away(ann: Wire, server: Instance, ground: Ground) -> None:
    Instance.objects.update(key_name="old", key_data="ssh", user_data="aGVsbG8=")
    shown = rebuild(ann, server, ground.image, key_name=None, user_data=None).json()["server"]
    assert (shown["key_name"], shown["user_data"]) == (None, None)
    changes = Action.objects.get().parameters["changes"]
    assert (changes["key_name"], changes["key_data"], changes["user_data"]) == (None, "", "")


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("2.1", {"description": "d"}),
        ("2.53", {"key_name": None}),
        ("2.56", {"user_data": ""}),
        ("2.57", {"personality": []}),
        ("2.62", {"trusted_image_certificates": None}),
        ("2.63", {"trusted_image_certificates": ["a"]}),
        ("2.89", {"hostname": "h"}),
        ("2.90", {"hostname": "not a name"}),
        ("2.96", {"preserve_ephemeral": True}),
        ("2.96", {"preserve_ephemeral": "maybe"}),
        ("2.96", {"name": ""}),
        ("2.96", {"name": "a\x00b"}),
        ("2.96", {"adminPass": ""}),
        ("2.96", {"metadata": {"a": 1}}),
        ("2.96", {"metadata": {f"k{i}": "v" for i in range(200)}}),
        ("2.96", {"user_data": "not base64!"}),
        ("2.96", {"user_data": "A" * 65_540}),
        ("2.96", {"key_name": "nobody has it"}),
        ("2.96", {"flavorRef": "1"}),
        ("2.96", {"imageRef": "tiny"}),
        ("2.96", {"imageRef": ""}),
        ("2.96", {"imageRef": IDS}),
        ("2.1", {"personality": [{"path": "/a", "contents": ""}]}),
    ],
)
def test_a_wrong_rebuild_changes_nothing(
    ann: Wire, server: Instance, ground: Ground, version: str, fields: dict[str, Any]
) -> None:
    reply = rebuild(ann, server, ground.image, version, **fields)
    expected = 403 if len(fields.get("metadata", {})) > 100 else 400
    assert_nothing_changed(server, reply, expected)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"min_ram": 1024}, "memory is too small"),
        ({"min_disk": 11}, "disk is smaller"),
        ({"virtual_size": 11 * GIB}, "disk is too small"),
        ({"status": "queued"}, "not active"),
        ({"visibility": Visibility.PRIVATE}, "Can not find"),
        ({"disk_format": "iso"}, "ISO"),
    ],
)
def test_an_image_that_does_not_do_for_a_boot_does_not_do_for_a_rebuild(
    ann: Wire, server: Instance, fields: dict[str, Any], words: str
) -> None:
    assert_nothing_changed(server, rebuild(ann, server, make_image("other", **fields)), 400, words)


# --- who may, and when ------------------------------------------------------------------------------------------------

STARTS = {
    "rebuild": {VmState.ACTIVE, VmState.STOPPED, VmState.ERROR},
    "rescue": {VmState.ACTIVE, VmState.STOPPED, VmState.ERROR},
    "unrescue": {VmState.RESCUED},
}


def body_of(verb: str, ground: Ground) -> Any:
    return {"imageRef": str(ground.image.pk)} if verb == "rebuild" else None


@pytest.mark.parametrize("vm_state", [state for state in VmState if state != VmState.DELETED])
@pytest.mark.parametrize("verb", STARTS)
def test_a_verb_starts_from_its_states_and_names_any_other(
    ann: Wire, server: Instance, ground: Ground, verb: str, vm_state: VmState
) -> None:
    Instance.objects.update(vm_state=vm_state)
    server.refresh_from_db()
    reply = act(ann, server, verb, body_of(verb, ground))
    if vm_state in STARTS[verb]:
        assert reply.status_code == {"rebuild": 202, "rescue": 200, "unrescue": 202}[verb]
        assert Action.objects.get().operation == verb
    else:
        assert_nothing_changed(server, reply, 409, vm_state)


@pytest.mark.parametrize("verb", STARTS)
def test_a_verb_is_refused_to_readers_strangers_and_when_locked_or_busy(
    ann: Wire, rita: Wire, bob: Wire, server: Instance, ground: Ground, verb: str
) -> None:
    Instance.objects.update(vm_state=VmState.RESCUED if verb == "unrescue" else VmState.ACTIVE)
    server.refresh_from_db()
    body = body_of(verb, ground)
    assert_nothing_changed(server, act(rita, server, verb, body), 403)
    assert_nothing_changed(server, act(bob, server, verb, body), 404)
    Instance.objects.update(is_locked=True)
    server.refresh_from_db()
    assert_nothing_changed(server, act(ann, server, verb, body), 409, "locked")
    Instance.objects.update(is_locked=False, task_state=TaskState.REBOOTING)
    server.refresh_from_db()
    assert_nothing_changed(server, act(ann, server, verb, body), 409, "rebooting")


@pytest.mark.parametrize("verb", ["rebuild", "rescue"])
def test_an_instance_whose_boot_failed_has_no_disk_to_make_anew(
    ann: Wire, server: Instance, ground: Ground, verb: str
) -> None:
    Instance.objects.update(vm_state=VmState.ERROR, power_state=PowerState.NOSTATE, host="", task_state=None)
    server.refresh_from_db()
    reply = act(ann, server, verb, body_of(verb, ground))
    assert_nothing_changed(server, reply, 409, "its boot failed")


# --- rescue -----------------------------------------------------------------------------------------------------------


def test_a_rescue_answers_with_the_password_and_keeps_it_sealed(ann: Wire, server: Instance, ground: Ground) -> None:
    reply = act(ann, server, "rescue", {"adminPass": "secret-1"})
    assert (reply.status_code, reply.json()) == (200, {"adminPass": "secret-1"})
    action = Action.objects.get()
    assert action.parameters["image"] == str(ground.image.pk), "the image that it was made from"
    assert "secret-1" not in str(Action.objects.values().get())
    assert password_of(action) == "secret-1"


def test_a_rescue_takes_a_given_image_and_makes_a_password(ann: Wire, server: Instance) -> None:
    image = make_image("rescue", virtual_size=20 * GIB, min_disk=20)  # its disk is its own, whatever the flavor's is
    reply = act(ann, server, "rescue", {"rescue_image_ref": str(image.pk)}, "2.1")
    assert len(reply.json()["adminPass"]) == 12
    assert Action.objects.get().parameters["image"] == str(image.pk)
    assert Instance.objects.get().task_state == TaskState.RESCUING


@pytest.mark.parametrize("body", [{"rescue_image_ref": IDS}, {"rescue_image_ref": "x"}, {"adminPass": ""}, {"a": 1}, 5])
def test_a_wrong_rescue_changes_nothing(ann: Wire, server: Instance, body: Any) -> None:
    assert_nothing_changed(server, act(ann, server, "rescue", body), 400)


def test_a_rescue_needs_an_image_that_is_still_there(ann: Wire, server: Instance, ground: Ground) -> None:
    ground.image.delete()
    assert_nothing_changed(server, act(ann, server, "rescue"), 400, "Can not find")


# --- evacuate ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def dead(server: Instance) -> Instance:
    """The server's host h1 is down; h2 shares its storage, h3 does not."""
    for name, storage in (("h1", "s1"), ("h2", "s1"), ("h3", "s3")):
        make_node(name, storage_id=storage)
    Host.objects.filter(name="h1").update(is_up=False)
    Service.objects.filter(host="h1").update(last_seen_at=timezone.now() - timedelta(hours=1))
    server.refresh_from_db()
    return server


def test_an_evacuation_is_accepted_with_a_migration(admin: Wire, dead: Instance) -> None:
    reply = act(admin, dead, "evacuate", {"host": "h3"}, "2.68")
    assert (reply.status_code, reply.content) == (200, b"")
    action, migration = Action.objects.get(), Migration.objects.get()
    assert (migration.type, migration.status) == (MigrationType.EVACUATION, MigrationStatus.ACCEPTED)
    assert (migration.source_host, migration.destination_host, migration.action_id) == ("h1", "h3", action.pk)
    assert (action.parameters["host"], action.parameters["force"], action.parameters["runs"]) == ("h3", False, True)
    assert (Instance.objects.get().host, Instance.objects.get().task_state) == ("h1", TaskState.REBUILDING)


@pytest.mark.parametrize(
    ("version", "body", "expected"),
    [
        ("2.13", {"onSharedStorage": False, "host": "h3"}, {"force": True, "is_storage_shared": False, "runs": True}),
        ("2.13", {"onSharedStorage": "true", "host": "h2"}, {"force": True, "is_storage_shared": True, "runs": True}),
        ("2.14", {"host": "h2"}, {"force": True, "is_storage_shared": None, "runs": True}),
        ("2.28", {}, {"force": False, "is_storage_shared": None, "runs": True}),
        ("2.29", {"host": "h2"}, {"force": False, "is_storage_shared": None, "runs": True}),
        ("2.67", {"host": "h2", "force": True}, {"force": True, "is_storage_shared": None, "runs": True}),
        ("2.95", {"host": "h2"}, {"force": False, "is_storage_shared": None, "runs": False}),
    ],
)
def test_the_version_says_what_a_named_host_and_the_end_are(
    admin: Wire, dead: Instance, version: str, body: dict[str, Any], expected: dict[str, Any]
) -> None:
    reply = act(admin, dead, "evacuate", body, version)
    assert reply.status_code == 200
    assert {name: Action.objects.get().parameters[name] for name in expected} == expected
    if version == "2.13":
        is_shared = expected["is_storage_shared"]
        assert (reply.json()["adminPass"] is None) == is_shared
    else:
        assert reply.content == b""


def test_a_stopped_instance_stays_stopped(admin: Wire, dead: Instance) -> None:
    Instance.objects.update(vm_state=VmState.STOPPED, power_state=PowerState.SHUTDOWN)
    assert act(admin, dead, "evacuate", {}, "2.94").status_code == 200
    assert Action.objects.get().parameters["runs"] is False


@pytest.mark.parametrize(
    ("version", "body", "status", "words"),
    [
        ("2.96", {"host": "h1"}, 400, "same one"),
        ("2.96", {"host": "h9"}, 404, "h9"),
        ("2.96", {"host": "disabled"}, 400, "disabled"),
        ("2.96", {"host": "down"}, 400, "down"),
        ("2.67", {"host": "down", "force": True}, 400, "down"),
        ("2.96", {"host": "small"}, 400, "cannot take the server"),
        ("2.96", {"host": "silent"}, 400, "not known"),
        ("2.96", {"host": ""}, 400, "host"),
        ("2.96", {"force": True}, 400, "force"),
        ("2.14", {"onSharedStorage": True}, 400, "onSharedStorage"),
        ("2.13", {}, 400, "onSharedStorage"),
        ("2.13", {"onSharedStorage": True, "host": "h3"}, 400, "do not share"),
        ("2.13", {"onSharedStorage": False, "host": "h2"}, 400, "share"),
        ("2.13", {"onSharedStorage": True, "adminPass": "pw"}, 400, "existing disk"),
    ],
)
def test_a_wrong_evacuation_changes_nothing(
    admin: Wire, dead: Instance, version: str, body: dict[str, Any], status: int, words: str
) -> None:
    make_node("silent", storage_id="")
    make_node("small", storage_id="s4", memory_mib=100)
    make_node("disabled", storage_id="s5", is_schedulable=False)
    Service.objects.filter(host="disabled").update(is_disabled=True)
    make_node("down", storage_id="s6", is_schedulable=False)
    Host.objects.filter(name="down").update(is_up=False)
    assert_nothing_changed(dead, act(admin, dead, "evacuate", body, version), status, words)


def test_a_host_that_is_up_is_not_evacuated_from(admin: Wire, dead: Instance) -> None:
    Service.objects.filter(host="h1").update(last_seen_at=timezone.now())
    for is_up in (True, False):  # not yet welcome: it may still be at work
        Host.objects.filter(name="h1").update(is_up=is_up)
        assert_nothing_changed(dead, act(admin, dead, "evacuate", {}), 400, "still in use")


def test_a_host_that_is_silent_is_down_before_a_sweep_says_so(admin: Wire, dead: Instance) -> None:
    Host.objects.filter(name="h1").update(is_up=True)
    assert act(admin, dead, "evacuate", {}).status_code == 200
    assert not Host.objects.get(name="h1").is_up


def test_a_host_that_is_forced_down_is_evacuated_from(admin: Wire, dead: Instance) -> None:
    Service.objects.filter(host="h1").update(last_seen_at=timezone.now(), is_forced_down=True)
    assert act(admin, dead, "evacuate", {}).status_code == 200


@pytest.mark.parametrize("vm_state", [state for state in VmState if state != VmState.DELETED])
def test_an_evacuation_starts_from_its_states_and_names_any_other(
    admin: Wire, dead: Instance, vm_state: VmState
) -> None:
    Instance.objects.update(vm_state=vm_state)
    dead.refresh_from_db()
    reply = act(admin, dead, "evacuate", {})
    if vm_state in {VmState.ACTIVE, VmState.STOPPED, VmState.ERROR}:
        assert reply.status_code == 200
    else:
        assert_nothing_changed(dead, reply, 409, vm_state)


def test_an_evacuation_is_for_admins_and_no_lock_keeps_them(ann: Wire, admin: Wire, dead: Instance) -> None:
    Instance.objects.update(is_locked=True)
    dead.refresh_from_db()
    assert_nothing_changed(dead, act(ann, dead, "evacuate", {}), 403, "admin")
    assert act(admin, dead, "evacuate", {}).status_code == 200


def test_an_instance_on_no_host_is_not_evacuated(admin: Wire, dead: Instance) -> None:
    Instance.objects.update(host="", vm_state=VmState.ERROR, power_state=PowerState.NOSTATE)
    dead.refresh_from_db()
    assert_nothing_changed(dead, act(admin, dead, "evacuate", {}), 409, "its boot failed")
