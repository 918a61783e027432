"""The smaller pieces: addresses, the console's text, the client's files, the test command's sum."""

from __future__ import annotations

import dataclasses
import io
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from cloud.embedded import checks, client_files, demo, libvirtd, purge, status, subnets
from cloud.embedded.progress import Console
from cloud.embedded.settings import CHECKOUT, Settings
from cloud.embedded.trouble import Trouble

Load = Callable[..., Settings]


def test_the_shared_network_avoids_every_route_of_the_machine() -> None:
    used = [IPv4Network("10.0.0.0/23"), IPv4Network("10.0.2.128/25"), IPv4Network("192.168.0.0/16")]
    assert subnets.first_free(used) == IPv4Network("10.0.3.0/24")


def test_a_machine_that_has_all_of_ten_is_told_to_name_a_subnet() -> None:
    with pytest.raises(Trouble, match="SHARED_CIDR"):
        subnets.first_free([IPv4Network("10.0.0.0/8")])


def test_two_clouds_on_one_machine_take_different_subnets(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subnets, "TAKEN", tmp_path / "taken")
    clouds = [load(KILONOVA_STATE_DIR=str(tmp_path / name)) for name in ("a", "b")]
    for cloud in clouds:
        cloud.state_dir.mkdir()
    first, second = (subnets.choose(cloud) for cloud in clouds)
    assert first != second
    assert subnets.choose(clouds[0]) == first
    clouds[0].state_dir.rmdir()  # a cloud that is gone gives its subnet back
    assert subnets.choose(load(KILONOVA_STATE_DIR=str(tmp_path / "b"))) == first


def test_a_subnet_that_is_none_is_refused_with_its_value(load: Load) -> None:
    with pytest.raises(Trouble, match=r"SHARED_CIDR=10\.0\.0\.7/24"):
        subnets.choose(load(SHARED_CIDR="10.0.0.7/24"))


def test_the_banner_is_the_guests_lines_without_what_draws_on_a_screen() -> None:
    output = "\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS\r\n\x1bctiny: net eth0\r\ntiny: BOOT-OK uptime=4s\r\nhello login: \r\n"
    assert demo.banner(output) == ["SeaBIOS", "tiny: net eth0", "tiny: BOOT-OK uptime=4s"]


def test_the_clients_files_name_the_cloud_and_survive_odd_passwords(load: Load) -> None:
    settings = load(ADMIN_PASSWORD="a'b $c: #d")
    settings.state_dir.mkdir()
    openrc, clouds = client_files.write(settings)
    cloud = yaml.safe_load(clouds.read_text())["clouds"]["kilonova"]
    assert cloud["auth"]["auth_url"] == settings["PUBLIC_URL"] + "/identity/v3"
    assert cloud["auth"]["password"] == "a'b $c: #d"
    sourced = subprocess.run(
        ["sh", "-c", f'. {openrc} && printf %s "$OS_PASSWORD"'], capture_output=True, text=True, check=True
    )
    assert sourced.stdout == "a'b $c: #d"
    assert openrc.stat().st_mode & 0o777 == clouds.stat().st_mode & 0o777 == 0o600


def test_pytests_report_is_counted_with_errors_as_failures(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite tests="10" failures="2" errors="1" skipped="3"/></testsuites>')
    assert checks._counts(report) == (4, 3, 3)


def test_the_sum_fails_when_a_check_fails_though_every_test_passed() -> None:
    out = io.StringIO()
    outcomes = [
        checks.Outcome(title="lint", seconds=1.0, is_well=False, passed=0, failed=1),
        checks.Outcome(title="tests", seconds=1.0, is_well=True, passed=7, failed=0),
    ]
    assert checks._say_sum(outcomes, 2.0, Console(out)) == 1
    assert out.getvalue().splitlines()[-1] == "7 passed, 1 failed"


def test_every_test_is_in_one_of_the_pytest_checks() -> None:
    marks = {check.name: check.command[-1] for check in checks.CHECKS if check.is_pytest}
    markers = ("real", "wire", "rig", "chaos", "postgres")
    for count in range(len(markers) + 1):
        for chosen in itertools.combinations(markers, count):
            truth = {marker: marker in chosen for marker in markers}
            taken = [name for name, expression in marks.items() if eval(expression, {}, truth)]
            assert taken, f"no check runs a test that is marked {chosen}"
            assert "postgres" in taken or "postgres" not in chosen
            assert len([name for name in taken if name != "postgres"]) <= 1, f"{taken} each run {chosen}"


def test_two_lanes_run_side_by_side_and_each_prints_in_one_piece(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # neither end goes on without the other
    here = checks.Check(name="here", title="here", command=("python", "-c", f"print(open({str(pipe)!r}).read())"))
    there = dataclasses.replace(here, name="there", command=("python", "-c", f"open({str(pipe)!r}, 'w').write('met')"))
    out = io.StringIO()
    outcomes = checks._run_side_by_side([[here], [there]], [], tmp_path, Console(out))
    assert [outcome.is_well for outcome in outcomes] == [True, True]
    assert "met\n✓ here" in out.getvalue()


def test_the_checks_do_not_see_the_settings_of_a_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://somewhere/precious")
    monkeypatch.setenv("OS_CLOUD", "precious")
    env = checks.environment()
    assert "DATABASE_URL" not in env
    assert "OS_CLOUD" not in env


def test_one_stand_in_runs_and_the_other_waits_for_it(tmp_path: Path) -> None:
    daemon = libvirtd.Daemon(name="none", socket=tmp_path / "socket", lock=tmp_path / "lock")
    assert libvirtd.is_ours_to_run(daemon)
    command = [*daemon.command[:-1], "sh", "-c", "echo runs; exec sleep 1000"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "runs\n"
    second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert libvirtd.is_run_by_us(daemon)
        assert libvirtd.is_ours_to_run(daemon)
        assert second.poll() is None
        first.kill()
        assert second.stdout is not None
        assert second.stdout.readline() == "runs\n"
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()


def test_a_networks_bridge_name_fits_the_kernel() -> None:
    name = purge.bridge_name("0123abcd-4567-89ef-0123-456789abcdef")
    assert name == "kn-0123abcd4567"
    assert len(name) <= 15


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (7500, "2 h 5 min"), (273600, "3 d 4 h")]
)
def test_a_duration_is_said_in_two_units(seconds: float, text: str) -> None:
    assert status.duration(seconds) == text


def test_a_step_that_fails_ends_with_a_cross() -> None:
    out = io.StringIO()

    def failing() -> None:
        with Console(out).step("try") as step:
            step.note("half way")
            raise ValueError

    with pytest.raises(ValueError):
        failing()
    assert out.getvalue().startswith("✗ try: half way")


def test_the_script_says_what_it_can_do_without_anything_installed() -> None:
    said = subprocess.run([str(CHECKOUT / "kilonova"), "help"], capture_output=True, text=True, check=True, env={})
    for command in ("up", "status", "logs", "restart", "down", "manage", "bench", "test"):
        assert f"./kilonova {command}" in said.stdout


def test_the_script_refuses_an_unknown_command() -> None:
    said = subprocess.run([str(CHECKOUT / "kilonova"), "upp"], capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "unknown command: upp" in said.stderr


def test_the_work_goes_on_when_nobody_reads_what_it_says() -> None:
    code = (
        "from cloud.embedded.progress import Console; import sys\n"
        "console = Console()\n"
        "for number in range(20000): console.line(str(number))\n"
        "print('came through', file=sys.stderr)"
    )
    done = subprocess.run(
        [f'{sys.executable} -c "{code}" | head -n 1'], shell=True, cwd=CHECKOUT, capture_output=True, text=True
    )
    assert done.stderr == "came through\n"
