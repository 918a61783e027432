"""Images in the admin console."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from cloud.identity.models import User
from cloud.images.models import Image, ImageMember, ImageStatus
from tests.unit.identity.wire import Wire
from tests.unit.images.conftest import V2, created, uploaded


@pytest.fixture
def browser(admin: Wire) -> Client:
    client = Client()
    client.force_login(User.objects.get(name="admin"))
    return client


def test_every_list_and_page_opens(browser: Client, ann: Wire) -> None:
    image = created(ann, tags=["a"], prop="x")
    ann.post(f"{V2}/{image['id']}/members", {"member": "p" * 32})
    assert browser.get("/admin/images/image/?q=im1").status_code == 200
    assert browser.get(f"/admin/images/image/{image['id']}/change/").status_code == 200
    assert browser.get("/admin/images/imagemember/").status_code == 200
    assert browser.get(f"/admin/images/imagemember/{ImageMember.objects.get().pk}/change/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_deleting_in_the_console_removes_the_bytes_and_keeps_the_row(browser: Client, ann: Wire, store: Path) -> None:
    image = created(ann, disk_format="raw")
    uploaded(ann, image, b"data")
    assert browser.post(f"/admin/images/image/{image['id']}/delete/", {"post": "yes"}).status_code == 302
    assert Image.objects.get(pk=image["id"]).status == ImageStatus.DELETED
    assert not list(store.iterdir())


def test_a_protected_image_is_not_deleted_in_the_console(browser: Client, ann: Wire) -> None:
    image = created(ann, protected=True)
    assert browser.post(f"/admin/images/image/{image['id']}/delete/", {"post": "yes"}).status_code == 403
    many = {"action": "delete_selected", "_selected_action": image["id"], "post": "yes"}
    browser.post("/admin/images/image/", many)
    assert Image.objects.get(pk=image["id"]).status == ImageStatus.QUEUED


def test_a_change_in_the_console_keeps_the_state_of_an_upload(browser: Client, ann: Wire) -> None:
    image = created(ann)
    body = {
        "name": "renamed",
        "project_id": image["owner"],
        "visibility": "shared",
        "min_disk": "1",
        "min_ram": "0",
        "tags": "[]",
        "properties": "{}",
        "members-TOTAL_FORMS": "0",
        "members-INITIAL_FORMS": "0",
    }
    assert browser.post(f"/admin/images/image/{image['id']}/change/", body).status_code == 302
    shown = ann.get(f"{V2}/{image['id']}").json()
    assert (shown["name"], shown["min_disk"], shown["status"]) == ("renamed", 1, "queued")
