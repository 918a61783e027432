"""Power fencing: a command for each host, asked for, run outside transactions, believed only when it ends with 0; and
nobody is judged silent whom nobody listened to."""

from __future__ import annotations

import io
import logging
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from django.utils import timezone

from cloud.identity.models import User
from cloud.workflow import fencing, sweeps
from cloud.workflow.models import Host, Service, Watch
from cloud.workflow.services import HostIsUp, confirm_fenced
from tests.operations.cloud_in_a_box import CloudInABox
from tests.operations.scenarios import World
from tests.unit.identity.wire import Wire

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(box: CloudInABox) -> World:
    return World(box)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """Where the command of `script` writes what it was given."""
    return tmp_path / "note"


def script(tmp_path: Path, body: str) -> str:
    """A command: the path of a shell script with that body."""
    path = tmp_path / "fence.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def down(world: World, command: str = "") -> Host:
    """h1, without power, with that fence command."""
    world.box.power_off("h1")
    Host.objects.filter(name="h1").update(fence_command=command)
    return host()


def host() -> Host:
    return Host.objects.get(name="h1")


# --- the command ------------------------------------------------------------------------------------------------------


def test_a_command_that_ends_with_0_confirms_that_the_machine_is_off(world: World, tmp_path: Path, note: Path) -> None:
    command = script(tmp_path, f'echo "$1|$2|$KILONOVA_FENCE_HOST" > {note}; echo now off')
    fencing.ask(down(world, f"{command} off '{{host}} as it is'"))
    world.box.run()  # its task is on the conductors' queue
    assert host().is_fenced
    assert note.read_text() == "off|h1 as it is|h1\n"
    assert host().fence_said.endswith("exit status 0: now off")
    assert (host().fence_asked_at, host().fence_began_at) == (None, None)


@pytest.mark.parametrize(
    ("body", "said"), [("echo no such chassis; exit 3", "exit status 3: no such chassis"), ("kill -9 $$", "status -9")]
)
def test_a_command_that_ends_otherwise_confirms_nothing(world: World, tmp_path: Path, body: str, said: str) -> None:
    fencing.ask(down(world, script(tmp_path, body)))
    world.box.run()
    assert not host().is_fenced
    assert said in host().fence_said


def test_a_command_without_an_end_is_killed_with_its_children(
    world: World, tmp_path: Path, note: Path, settings: Any
) -> None:
    settings.FENCE_TIMEOUT = 0.5
    fencing.ask(down(world, script(tmp_path, f"sleep 600 & echo $! > {note}; wait")))
    world.box.run()
    assert not host().is_fenced
    assert "no end after 0.5 s" in host().fence_said
    child = Path(f"/proc/{note.read_text().strip()}/status")
    assert not child.exists() or "zombie" in child.read_text()


def test_a_command_that_is_not_there_is_said(world: World) -> None:
    fencing.ask(down(world, "/nowhere/fence {host}"))
    world.box.run()
    assert "could not be run: FileNotFoundError" in host().fence_said
    assert not host().is_fenced


@pytest.mark.parametrize(
    "words", ["; touch {note}", "$(touch {note})", "`touch {note}`", "| touch {note}", "&& touch {note}"]
)
def test_no_shell_reads_the_command(world: World, tmp_path: Path, note: Path, words: str) -> None:
    seen = tmp_path / "seen"
    command = script(tmp_path, f'printf "%s\\n" "$@" > {seen}')
    fencing.ask(down(world, f"{command} {words.replace('{note}', str(note))}"))
    world.box.run()
    assert "touch" in seen.read_text(), "the words are arguments"
    assert not note.exists()


def test_secrets_stay_out_of_the_log_and_the_environment(
    world: World, tmp_path: Path, note: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_KEYS_SECRET", "the cloud's own secret")
    command = script(tmp_path, f'env > {note}; echo "cannot log in as $1 with $2"; exit 1')
    with caplog.at_level(logging.DEBUG):
        fencing.ask(down(world, f"{command} root hunter22"))
        world.box.run()
    assert "hunter22" not in caplog.text + host().fence_said
    assert "cannot log in as *** with ***" in host().fence_said
    assert "the cloud's own secret" not in note.read_text()


# --- who may be fenced, and when --------------------------------------------------------------------------------------


def test_a_host_that_is_up_is_not_fenced(world: World, tmp_path: Path, note: Path) -> None:
    Host.objects.filter(name="h1").update(fence_command=script(tmp_path, f"touch {note}"))
    with pytest.raises(HostIsUp):
        fencing.ask(host())
    assert not fencing.carry_out("h1"), "a message alone does nothing: a host could have sent it"
    assert not note.exists()


@pytest.mark.parametrize("command", ["", "   ", "fence 'without an end"])
def test_a_host_without_a_command_that_can_be_read_is_not_fenced(world: World, command: str) -> None:
    with pytest.raises(fencing.NoFenceCommand):
        fencing.ask(down(world, command))
    assert host().fence_asked_at is None


def test_a_host_that_is_to_be_fenced_cannot_come_back_before(world: World, tmp_path: Path) -> None:
    """It would be switched off at work."""
    fencing.ask(down(world, script(tmp_path, "exit 1")))
    world.box.off.discard("h1")
    world.box.start_worker("h1")
    assert not world.box.beat("h1")
    assert not host().is_up
    world.box.run()  # the command fails: it may come back
    assert world.box.beat("h1")
    assert host().is_up


def test_a_host_that_was_fenced_and_has_power_again_is_not_off_any_more(world: World) -> None:
    confirm_fenced(down(world))
    assert host().is_fenced
    world.box.power_on("h1")
    assert (host().is_up, host().is_fenced) == (True, False)


def test_a_host_that_spoke_since_is_not_confirmed_off(world: World) -> None:
    before = down(world)
    Host.objects.filter(name="h1").update(generation=before.generation + 1)  # it said hello meanwhile
    with pytest.raises(HostIsUp):
        confirm_fenced(before)
    assert not host().is_fenced


def test_of_two_conductors_one_runs_the_command(world: World, tmp_path: Path, note: Path) -> None:
    fencing.ask(down(world, script(tmp_path, f"echo once >> {note}; read _ < {tmp_path}/gate")))
    os.mkfifo(tmp_path / "gate")
    results: list[bool] = []

    def conduct() -> None:
        try:
            results.append(fencing.carry_out("h1"))
        finally:
            connection.close()

    conductors = [threading.Thread(target=conduct) for _ in range(2)]
    for conductor in conductors:
        conductor.start()
    (tmp_path / "gate").write_text("on\n")
    for conductor in conductors:
        conductor.join(timeout=20)
    assert sorted(results) == [False, True]
    assert note.read_text() == "once\n"


def test_what_a_dead_conductor_left_is_sent_out_again(world: World, tmp_path: Path) -> None:
    fencing.ask(down(world, script(tmp_path, "exit 0")))
    world.box.drain()  # the message is lost
    Host.objects.update(fence_began_at=timezone.now() - timedelta(hours=1), fence_asked_at=timezone.now())
    fencing.send_out()
    world.box.run()
    assert host().is_fenced


@pytest.mark.parametrize("is_automatic", [False, True])
def test_a_host_that_falls_silent_is_fenced_at_once_only_where_that_is_wished(
    world: World, tmp_path: Path, settings: Any, is_automatic: bool
) -> None:
    settings.FENCE_AUTOMATICALLY = is_automatic
    Host.objects.filter(name="h1").update(fence_command=script(tmp_path, "exit 0"))
    world.box.power_off("h1")
    world.box.run()
    assert host().is_fenced == is_automatic


def test_a_host_that_an_operator_forced_down_is_not_fenced_by_itself(
    world: World, tmp_path: Path, settings: Any
) -> None:
    settings.FENCE_AUTOMATICALLY = True
    Host.objects.filter(name="h1").update(fence_command=script(tmp_path, "exit 0"))
    Service.objects.filter(host="h1").update(is_forced_down=True)
    sweeps.mark_hosts_down()
    world.box.run()
    assert (host().is_up, host().is_fenced) == (False, False)


# --- the ways to it ---------------------------------------------------------------------------------------------------


def test_the_consoles_buttons(world: World, operator: Client, tmp_path: Path) -> None:
    page = operator.get("/admin/workflow/host/h1/change/").content.decode()
    assert "fence/" not in page, "it is up"
    down(world, script(tmp_path, "exit 0"))
    page = operator.get("/admin/workflow/host/h1/change/").content.decode()
    assert "I have made sure that it is off" in page
    assert operator.post("/admin/workflow/host/h1/fence/").status_code == 302
    world.box.run()
    assert host().is_fenced
    world.box.power_on("h1")
    assert "is up" in operator.post("/admin/workflow/host/h1/confirm-fenced/", follow=True).content.decode()
    down(world)
    assert operator.post("/admin/workflow/host/h1/confirm-fenced/").status_code == 302
    assert host().is_fenced


def test_only_a_superuser_sees_or_changes_a_fence_command(world: World, operator: Client) -> None:
    down(world, "/usr/bin/ipmitool -P hunter22")
    assert "hunter22" in operator.get("/admin/workflow/host/h1/change/").content.decode()
    looker = Client()
    user = User.objects.create(name="looker", domain_id="default", is_staff=True)
    from django.contrib.auth.models import Permission

    user.user_permissions.add(*Permission.objects.filter(codename__in=("view_host", "change_host")))
    looker.force_login(user)
    page = looker.get("/admin/workflow/host/h1/change/").content.decode()
    assert "h1" in page
    assert "hunter22" not in page
    looker.post("/admin/workflow/host/h1/change/", {"fence_command": "touch /tmp/x"})
    assert host().fence_command == "/usr/bin/ipmitool -P hunter22"
    assert looker.post("/admin/workflow/host/h1/fence/").status_code == 403


def test_the_management_command(world: World, tmp_path: Path) -> None:
    out = io.StringIO()
    with pytest.raises(CommandError, match="there is no host 'nobody'"):
        call_command("fence_host", "nobody")
    with pytest.raises(CommandError, match="is up"):
        call_command("fence_host", "h1", "--confirm")
    down(world)
    with pytest.raises(CommandError, match="has no fence command"):
        call_command("fence_host", "h1")
    call_command("fence_host", "h1", "--confirm", stdout=out)
    assert host().is_fenced
    assert "confirmed off" in out.getvalue()


def test_on_the_wire(world: World, operator: Client, tmp_path: Path) -> None:
    admin = Wire.logged_in("admin", "correct horse", project="admin")
    path = "/kilonova/v1/hosts/h1/fence"
    assert admin.post(path, {"confirm": True}).status_code == 409
    down(world, script(tmp_path, "exit 0"))
    assert admin.post("/kilonova/v1/hosts/nobody/fence").status_code == 404
    assert admin.post(path, {"confirm": "perhaps"}).status_code == 400
    assert admin.post(path).status_code == 202
    world.box.run()
    assert host().is_fenced
    world.box.power_on("h1")
    down(world)
    assert admin.post(path).status_code == 409, "it has no command"
    assert admin.post(path, {"confirm": True}).status_code == 200
    assert host().is_fenced
    assert Wire().post(path).status_code == 401


# --- nobody is judged silent whom nobody listened to ------------------------------------------------------------------


def silent_for(seconds: float) -> None:
    """Nothing was heard of any host for so long."""
    Service.objects.filter(binary="nova-compute").update(last_seen_at=timezone.now() - timedelta(seconds=seconds))


def away_for(seconds: float, *, back_for: float = 0.0) -> None:
    """No sweep ran for so long; since then they do."""
    now = timezone.now()
    if back_for:
        Watch.objects.update(looked_at=now, since=now - timedelta(seconds=back_for))
    else:
        Watch.objects.update(looked_at=now - timedelta(seconds=seconds), since=now - timedelta(days=1))


def test_conductors_that_were_away_let_hosts_speak_before_they_judge_them(world: World) -> None:
    sweeps.watch_hosts()
    away_for(3600)
    silent_for(3600)
    for _ in range(3):
        sweeps.watch_hosts()
    assert Host.objects.filter(is_up=True).count() == 2, "all hosts were marked down at once"
    world.box.beat("h1")
    away_for(0, back_for=61)
    Service.objects.filter(host="h1").update(last_seen_at=timezone.now())
    sweeps.watch_hosts()
    assert list(Host.objects.filter(is_up=True).values_list("name", flat=True)) == ["h1"], "who did not speak is down"


def test_while_they_watch_a_silent_host_is_down_after_the_limit(world: World) -> None:
    sweeps.watch_hosts()
    away_for(5, back_for=0.0)  # between two sweeps
    silent_for(61)
    sweeps.watch_hosts()
    assert not Host.objects.filter(is_up=True).exists()


def test_the_api_does_not_judge_hosts_while_no_conductor_listens(world: World) -> None:
    """An evacuation asks whether the host is down."""
    sweeps.watch_hosts()
    away_for(3600)
    silent_for(3600)
    sweeps.mark_hosts_down()
    assert Host.objects.filter(is_up=True).count() == 2


def test_a_host_that_an_operator_forced_down_is_marked_at_once(world: World) -> None:
    sweeps.watch_hosts()
    away_for(3600)
    Service.objects.filter(host="h2").update(is_forced_down=True)
    sweeps.mark_hosts_down()
    assert list(Host.objects.filter(is_up=True).values_list("name", flat=True)) == ["h1"]
