"""`manage.py enroll_host`: what a host gets, again and with a new key, and what is said where Redis does not help."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command
from django.test import override_settings

from cloud import broker_users
from cloud.embedded import envfile
from cloud.workflow import hosts, tokens
from cloud.workflow.models import Host
from hypervisor import reports
from tests.broker import brokers
from tests.broker.brokers import Broker

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.running(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def on_redis(broker: Broker, tmp_path: Path) -> Iterator[None]:
    """The command as it is run beside a Redis, where BROKER_URL is the control plane's login."""
    urls = {"BROKER_ADMIN_URL": broker.settings.broker_admin_url, "BROKER_URL": broker.settings["BROKER_URL"]}
    with override_settings(**urls, HOSTS_BROKER_URL=broker.settings["BROKER_URL"], HOST_SETTINGS_DIR=tmp_path):
        yield


def enroll(*arguments: str) -> tuple[str, str]:
    """What it says on standard output, and on standard error."""
    out, err = io.StringIO(), io.StringIO()
    call_command("enroll_host", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def can_log_in(url: str) -> bool:
    try:
        return bool(redis.Redis.from_url(url).ping())
    except redis.exceptions.AuthenticationError:
        return False


def test_a_host_gets_a_settings_file_for_root_alone_with_a_login_that_works(on_redis: None, tmp_path: Path) -> None:
    said, _ = enroll("h5", "--address", "192.0.2.5")
    path = tmp_path / "h5.env"
    assert f"# settings file of h5: {path}" in said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    own = envfile.read(path)
    assert own["KILONOVA_HOST"] == "h5"
    assert own["KILONOVA_HOST_KEY"] == tokens.host_key(Host.objects.get(name="h5"))
    assert own["HOST_IP"] == "192.0.2.5"
    assert can_log_in(own["BROKER_URL"])
    assert envfile.parse(said.splitlines())["BROKER_URL"] == own["BROKER_URL"]


def test_enrolling_again_gives_the_same(on_redis: None, tmp_path: Path) -> None:
    enroll("h5")
    first = (tmp_path / "h5.env").read_text()
    enroll("h5")
    assert (tmp_path / "h5.env").read_text() == first
    assert can_log_in(envfile.read(tmp_path / "h5.env")["BROKER_URL"])


def test_a_new_key_ends_the_old_one_and_the_old_password(on_redis: None, tmp_path: Path, caplog: Any) -> None:
    enroll("h5")
    old = envfile.read(tmp_path / "h5.env")
    enroll("h5", "--rotate")
    new = envfile.read(tmp_path / "h5.env")
    assert new["KILONOVA_HOST_KEY"] != old["KILONOVA_HOST_KEY"]
    assert not can_log_in(old["BROKER_URL"])
    assert can_log_in(new["BROKER_URL"])
    body = {"host": "h5", "hello": "x", "generation": 0, "guests": [], "sent_at": 2_000_000_000.0}
    hosts.hello.hello(reports.signed_message(old["KILONOVA_HOST_KEY"], "hello", body))
    assert Host.objects.get(name="h5").hello == ""
    assert "dropped a hello that host h5 did not sign" in caplog.text
    hosts.hello.hello(reports.signed_message(new["KILONOVA_HOST_KEY"], "hello", body))
    assert Host.objects.get(name="h5").hello == "x"


def test_the_file_goes_where_it_is_told(on_redis: None, tmp_path: Path) -> None:
    enroll("h5", "--settings-file", str(tmp_path / "elsewhere" / "h5"))
    assert envfile.read(tmp_path / "elsewhere" / "h5")["KILONOVA_HOST"] == "h5"
    said, _ = enroll("h6", "--settings-file", "-")
    assert envfile.parse(said.splitlines())["KILONOVA_HOST"] == "h6"
    assert not (tmp_path / "h6.env").exists()


def test_several_hosts_of_one_worker_are_told_on_two_lines(on_redis: None, tmp_path: Path) -> None:
    said, _ = enroll("h5", "h6")
    told = envfile.parse(said.splitlines())
    assert (told["KILONOVA_HOST"], len(told["KILONOVA_HOST_KEY"].split(","))) == ("h5,h6", 2)
    assert can_log_in(envfile.read(tmp_path / "h6.env")["BROKER_URL"])


def test_a_login_that_may_make_no_users_is_told_the_line_to_put_there_by_hand(
    on_redis: None, broker: Broker, tmp_path: Path
) -> None:
    out, err = io.StringIO(), io.StringIO()
    with override_settings(BROKER_ADMIN_URL=broker.settings["BROKER_URL"]):
        with pytest.raises(CommandError, match="h8 is enrolled"):
            call_command("enroll_host", "h8", stdout=out, stderr=err)
    line = next(line for line in err.getvalue().splitlines() if line.startswith("user compute.h8 "))
    assert "may not run ACL SETUSER" in err.getvalue()
    own = envfile.read(tmp_path / "h8.env")
    assert not can_log_in(own["BROKER_URL"])
    acl_file = broker.settings.state_dir / "redis" / "users.acl"
    acl_file.write_text(f"{acl_file.read_text()}{line}\n")
    broker.admin.acl_load()
    assert can_log_in(own["BROKER_URL"])


def test_a_redis_that_is_away_is_named_and_the_host_is_let_in_by_hand(tmp_path: Path) -> None:
    away = "redis://127.0.0.1:1/0"
    err = io.StringIO()
    with override_settings(BROKER_ADMIN_URL=away, HOSTS_BROKER_URL=away, HOST_SETTINGS_DIR=tmp_path):
        with pytest.raises(CommandError):
            call_command("enroll_host", "h5", stdout=io.StringIO(), stderr=err)
    assert "h5 is not let in by Redis" in err.getvalue()
    assert (tmp_path / "h5.env").exists()


def test_a_broker_without_users_is_said_to_have_none(tmp_path: Path) -> None:
    with override_settings(BROKER_ADMIN_URL="memory://", HOSTS_BROKER_URL="memory://", HOST_SETTINGS_DIR=tmp_path):
        said, _ = enroll("h5")
    assert "The broker is memory://…, no Redis: it has no users" in said
    assert envfile.read(tmp_path / "h5.env")["BROKER_URL"] == "memory://"


@pytest.mark.parametrize("name", ["h 5", "h5.ctl", "*", "-h5", "h5 ~*", ""])
def test_a_name_that_would_be_another_rule_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match="is no host name"):
        call_command("enroll_host", "--", name)
    assert not Host.objects.exists()


def test_rules_of_an_older_version_become_those_of_now_and_the_password_stays() -> None:
    old = f"user compute.h5 on #{'a' * 64} resetchannels ~* +@all"
    assert broker_users.with_rules_of_now(old) == broker_users.host_line("h5", "a" * 64)
    assert broker_users.with_rules_of_now("user somebody on nopass ~* +@all") == "user somebody on nopass ~* +@all"
