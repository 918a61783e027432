"""createImage and createBackup on the wire: what is made at once, what the reply names, who and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.images.models import Image, ImageStatus
from cloud.workflow.models import Action
from cloud.workflow.states import LIVE
from instances.models import Instance
from instances.states import TaskState, VmState
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, at, make_image, make_instance, project_of

BACKUP = {"name": "b", "backup_type": "daily", "rotation": 1}


@pytest.fixture
def base(cloud: None) -> Image:
    return make_image(min_ram=64, min_disk=1, properties={"hw_disk_bus": "virtio", "img_signature": "of other bytes"})


@pytest.fixture
def server(ann: Wire, base: Image) -> Instance:
    return make_instance(project_of(ann), image_id=str(base.pk), image_properties=base.properties, disk_gib=10)


def act(wire: Wire, server: Instance, version: str = "2.96", **body: Any) -> Any:
    return wire.post(f"{API}/servers/{server.pk}/action", body, **at(version))


def snapshots() -> list[Image]:
    return list(Image.objects.filter(properties__has_key="instance_uuid"))


def test_the_reply_names_the_image_in_a_header_and_from_2_45_in_its_body(ann: Wire, server: Instance) -> None:
    reply = act(ann, server, "2.44", createImage={"name": "s"})
    (image,) = snapshots()
    assert (reply.status_code, reply.content) == (202, b"")
    assert reply["Location"].endswith(f"/images/{image.pk}")
    Action.objects.all().delete()
    Instance.objects.update(task_state=None)
    reply = act(ann, server, "2.45", createImage={"name": "s"})
    assert reply.status_code == 202
    assert not reply.has_header("Location")
    assert Image.objects.filter(pk=reply.json()["image_id"], status=ImageStatus.QUEUED).exists()


def test_a_snapshot_says_what_it_is_made_of_and_inherits_what_a_guest_needs(
    ann: Wire, server: Instance, base: Image
) -> None:
    assert act(ann, server, createImage={"name": "s", "metadata": {"mine": "yes"}}).status_code == 202
    (image,) = snapshots()
    user_id = Action.objects.get().user_id
    assert image.properties == {
        "hw_disk_bus": "virtio",
        "mine": "yes",
        "base_image_ref": str(base.pk),
        "instance_uuid": str(server.pk),
        "user_id": user_id,
        "owner_id": server.project_id,
        "owner_project_name": "blue",
        "image_type": "snapshot",
        "image_location": "snapshot",
        "image_state": "available",
    }
    assert (image.name, image.project_id, image.visibility) == ("s", server.project_id, "private")
    assert (image.disk_format, image.container_format, image.min_disk, image.min_ram) == ("qcow2", "bare", 10, 64)
    row = Instance.objects.get()
    assert (row.vm_state, row.task_state) == (VmState.ACTIVE, TaskState.IMAGE_SNAPSHOT)


def test_metadata_cannot_make_a_snapshot_anothers(ann: Wire, server: Instance) -> None:
    forged = {"instance_uuid": "0" * 8, "image_type": "backup", "base_image_ref": "x"}
    assert act(ann, server, createImage={"name": "s", "metadata": forged}).status_code == 202
    (image,) = snapshots()
    assert image.properties["instance_uuid"] == str(server.pk)
    assert image.properties["image_type"] == "snapshot"


def test_a_backup_says_its_type_and_with_a_rotation_of_0_the_reply_names_nothing(ann: Wire, server: Instance) -> None:
    reply = act(ann, server, "2.45", createBackup=BACKUP)
    (image,) = snapshots()
    assert (reply.status_code, reply.json()) == (202, {"image_id": str(image.pk)})
    assert (image.properties["image_type"], image.properties["backup_type"]) == ("backup", "daily")
    assert Instance.objects.get().task_state == TaskState.IMAGE_BACKUP
    for version, body in (("2.44", b""), ("2.45", b'{"image_id":null}')):
        Action.objects.all().delete()
        Instance.objects.update(task_state=None)
        reply = act(ann, server, version, createBackup={**BACKUP, "rotation": "0"})
        assert (reply.status_code, reply.content.replace(b" ", b"")) == (202, body)
        assert not reply.has_header("Location")


@pytest.mark.parametrize(
    "body",
    [
        {"createImage": {}},
        {"createImage": None},
        {"createImage": {"name": ""}},
        {"createImage": {"name": "n" * 256}},
        {"createImage": {"name": "n", "more": 1}},
        {"createImage": {"name": "n", "metadata": {"k": 1}}},
        {"createImage": {"name": "n", "metadata": {"k": "v" * 256}}},
        {"createImage": {"name": "n", "metadata": {"status": "active"}}},
        {"createImage": {"name": "n", "metadata": {"visibility": "public"}}},
        {"createBackup": {"name": "n", "backup_type": "daily"}},
        {"createBackup": {**BACKUP, "rotation": -1}},
        {"createBackup": {**BACKUP, "rotation": "many"}},
        {"createBackup": {**BACKUP, "rotation": 2**31}},
        {"createBackup": {**BACKUP, "backup_type": 7}},
        {"createBackup": {**BACKUP, "backup_type": "t" * 256}},
        {"createBackup": {**BACKUP, "name": "\x00"}},
    ],
)
def test_a_body_that_does_not_fit_is_400_and_nothing_is_made(ann: Wire, server: Instance, body: Any) -> None:
    assert act(ann, server, **body).status_code == 400
    assert_nothing_made()


def assert_nothing_made() -> None:
    assert snapshots() == []
    assert not Action.objects.filter(state__in=LIVE).exists()
    assert Instance.objects.get().task_state is None


def test_more_metadata_than_the_quota_allows_is_refused(ann: Wire, server: Instance) -> None:
    metadata = {f"k{number}": "v" for number in range(129)}
    reply = act(ann, server, createImage={"name": "n", "metadata": metadata})
    assert reply.status_code == 403
    assert_nothing_made()


@pytest.mark.parametrize("verb", ["createImage", "createBackup"])
@pytest.mark.parametrize("state", sorted(set(VmState) - {"active", "stopped", "paused", "suspended", "deleted"}))
def test_from_any_other_state_it_is_409_that_names_the_state(
    ann: Wire, server: Instance, verb: str, state: str
) -> None:
    Instance.objects.update(vm_state=state)
    reply = act(ann, server, **{verb: {"name": "n"} if verb == "createImage" else BACKUP})
    assert reply.status_code == 409
    assert state in reply.json()["conflictingRequest"]["message"]
    assert_nothing_made()


def test_while_something_else_is_under_way_it_is_409(ann: Wire, server: Instance) -> None:
    assert act(ann, server, createImage={"name": "first"}).status_code == 202
    assert act(ann, server, createImage={"name": "second"}).status_code == 409
    assert [image.name for image in snapshots()] == ["first"]


def test_a_lock_does_not_keep_from_it_and_another_project_does_not_see_the_server(
    ann: Wire, bob: Wire, rita: Wire, server: Instance
) -> None:
    Instance.objects.update(is_locked=True)
    assert act(bob, server, createImage={"name": "n"}).status_code == 404
    assert act(rita, server, createImage={"name": "n"}).status_code == 403
    assert_nothing_made()
    assert act(ann, server, createImage={"name": "n"}).status_code == 202


def test_an_admins_snapshot_belongs_to_the_servers_project(admin: Wire, ann: Wire, server: Instance) -> None:
    assert act(admin, server, createImage={"name": "n"}).status_code == 202
    (image,) = snapshots()
    assert image.project_id == server.project_id
    assert ann.get(f"/image/v2/images/{image.pk}").json()["status"] == "queued"
