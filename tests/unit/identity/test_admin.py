"""Identity in the admin console."""

from __future__ import annotations

import pytest
from django.contrib import admin as console
from django.test import Client

from cloud.identity.models import Domain, Project, Role, RoleAssignment, Token, User
from cloud.identity.services import create_user
from tests.unit.identity.conftest import PASSWORD
from tests.unit.identity.wire import Wire


@pytest.fixture
def browser(cloud: None) -> Client:
    client = Client()
    reply = client.post("/admin/login/?next=/admin/", {"username": "admin", "password": PASSWORD})
    assert reply.status_code == 302
    return client


def test_the_clouds_admin_logs_in_by_name_and_a_member_does_not(browser: Client, user: User) -> None:
    assert browser.get("/admin/").status_code == 200
    other = Client()
    reply = other.post("/admin/login/?next=/admin/", {"username": "ann", "password": PASSWORD})
    assert reply.status_code == 200
    assert other.get("/admin/").status_code == 302


def test_a_disabled_admin_is_out_at_once(browser: Client) -> None:
    User.objects.filter(name="admin").update(is_enabled=False)
    assert browser.get("/admin/").status_code == 302


@pytest.mark.parametrize("model", [Domain, Project, User, Role, RoleAssignment, Token])
def test_every_list_and_page_opens(browser: Client, member: Wire, model: type) -> None:
    assert console.site.is_registered(model)
    base = f"/admin/identity/{model._meta.model_name}/"
    assert browser.get(base).status_code == 200
    assert browser.get(f"{base}?q=a").status_code == 200
    assert browser.get(f"{base}{model.objects.first().pk}/change/").status_code == 200


def test_tokens_show_a_prefix_of_the_hash_alone(browser: Client, member: Wire) -> None:
    token = Token.objects.get()
    for path in ("/admin/identity/token/", f"/admin/identity/token/{token.pk}/change/"):
        page = browser.get(path).content.decode()
        assert token.hash[:8] in page
        assert token.hash[:20] not in page


def test_a_user_is_made_changed_and_given_a_password(browser: Client, user: User, member: Wire) -> None:
    body = {
        "domain": "default",
        "name": "bob",
        "usable_password": "true",
        "password1": "s3cret-x9",
        "password2": "s3cret-x9",
    }
    assert browser.post("/admin/identity/user/add/", body).status_code == 302
    assert User.objects.get(name="bob").check_password("s3cret-x9")
    page = f"/admin/identity/user/{user.pk}/password/"
    reply = browser.post(page, {"usable_password": "true", "password1": "n3w-secret", "password2": "n3w-secret"})
    assert reply.status_code == 302
    assert member.get("/identity/v3/auth/projects").status_code == 401
    assert Wire.logged_in("ann", "n3w-secret", project="blue")


def test_taking_a_role_away_in_the_console_ends_tokens(browser: Client, user: User, member: Wire) -> None:
    assignment = RoleAssignment.objects.get(user=user)
    reply = browser.post(f"/admin/identity/roleassignment/{assignment.pk}/delete/", {"post": "yes"})
    assert reply.status_code == 302
    assert member.get("/identity/v3/auth/projects").status_code == 401


def test_disabling_a_user_in_the_console_ends_tokens(browser: Client, user: User, member: Wire) -> None:
    body = {
        "domain": "default",
        "name": "ann",
        "email": "",
        "description": "",
        "default_project": "",
        "assignments-TOTAL_FORMS": "0",
        "assignments-INITIAL_FORMS": "0",
    }
    assert browser.post(f"/admin/identity/user/{user.pk}/change/", body).status_code == 302
    user.refresh_from_db()
    assert not user.is_enabled
    assert not Token.objects.filter(user=user).exists()


def test_a_name_of_another_domain_does_not_log_in(browser: Client) -> None:
    Domain.objects.create(id="other", name="other")
    create_user(name="root", password=PASSWORD, domain_id="other")
    User.objects.update(is_staff=True)
    client = Client()
    client.post("/admin/login/?next=/admin/", {"username": "root", "password": PASSWORD})
    assert client.get("/admin/").status_code == 302
