"""Which value wins, what is remembered, and what a compute worker is told."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path

import environ
import pytest

from cloud.embedded import client_files, envfile, programs, redis, state
from cloud.embedded import settings as settings_
from cloud.embedded.settings import CHECKOUT, SECRETS, Settings
from cloud.embedded.trouble import Trouble

Load = Callable[..., Settings]


def remembered(settings: Settings) -> Settings:
    state.prepare(settings)
    settings_.remember(settings)
    return settings


def test_the_environment_wins_over_the_env_file_and_that_over_what_is_remembered(load: Load, checkout: Path) -> None:
    remembered(load(TOKEN_HOURS="1", LEASE="1", STEP_ATTEMPTS="1"))
    (checkout / ".env").write_text("TOKEN_HOURS=2\nLEASE=2\n")
    settings = load(TOKEN_HOURS="3")
    assert [settings[name] for name in ("TOKEN_HOURS", "LEASE", "STEP_ATTEMPTS")] == ["3", "2", "1"]


def test_only_documented_names_are_taken_from_the_environment(load: Load) -> None:
    assert load(HOME="/nowhere", TOKEN_HOURS="5").get("HOME") == ""


def test_secrets_are_made_once_and_differ_between_clouds(load: Load, tmp_path: Path) -> None:
    first = remembered(load())
    again = load()
    other = load(KILONOVA_STATE_DIR=str(tmp_path / "other"))
    for name in SECRETS:
        assert len(first[name]) >= 24
        assert again[name] == first[name]
        assert other[name] != first[name]


def test_what_follows_from_a_port_follows_it_when_it_changes(load: Load) -> None:
    remembered(load())
    settings = load(API_PORT="9774")
    assert (settings["FLOWER_PORT"], settings["REDIS_PORT"]) == ("9775", "9776")
    assert settings["PUBLIC_URL"] == "http://127.0.0.1:9774"
    assert settings["BROKER_URL"].endswith("@127.0.0.1:9776/0")


def test_a_port_given_once_is_remembered_by_commands_that_do_not_give_it(load: Load) -> None:
    remembered(load(API_PORT="9774"))
    assert load()["API_PORT"] == "9774"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", "http"),
        ("API_PORT", "0"),
        ("API_PORT", "70000"),
        ("REDIS_PORT", "8774"),
        ("VIRT_TYPE", "xen"),
        ("KILONOVA_DRIVER", "vmware"),
        ("STEP_THREADS", "0"),
        ("KILONOVA_STATE_DIR", "relative/dir"),
        ("KILONOVA_STATE_DIR", "/" + "long/" * 30),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_value(load: Load, name: str, value: str) -> None:
    with pytest.raises(Trouble) as refused:
        load(**{name: value})
    assert f"{name}={value}".rstrip("/") in refused.value.message


def test_the_compute_worker_is_told_nothing_of_the_database_and_the_master_secrets(load: Load) -> None:
    settings = remembered(load(KILONOVA_HOST_KEY="host-key"))
    told = envfile.read(settings.compute_env_file)
    assert {"KILONOVA_HOST", "KILONOVA_HOST_KEY", "BROKER_URL", "KILONOVA_STATE_DIR"} <= set(told)
    text = settings.compute_env_file.read_text()
    for name in ("SECRET_KEY", "HOST_KEYS_SECRET", "DATABASE_URL", "ADMIN_PASSWORD", "FLOWER_PASSWORD"):
        assert name not in told
        assert settings[name] not in text
    assert settings["REDIS_PASSWORD"] not in text  # it has a Redis user of its own


def test_the_compute_worker_is_told_every_name_that_it_reads() -> None:
    source = (CHECKOUT / "hypervisor" / "config.py").read_text()
    read = set(re.findall(r'env\.\w+\("([A-Z_]+)"', source))
    assert read <= set(settings_.COMPUTE_NAMES)


def test_every_setting_that_the_code_reads_is_documented() -> None:
    documented = envfile.documented_names(CHECKOUT / ".env.example")
    for file in ("cloud/settings.py", "hypervisor/config.py"):
        read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (CHECKOUT / file).read_text()))
        assert read <= documented, file


def test_both_files_are_secret_from_the_first_byte(load: Load) -> None:
    settings = remembered(load())
    for path in (settings.env_file, settings.compute_env_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "value", ["plain", "a=b#c", "'quoted'", '"double"', " spaces ", "it's", r"back\slash", r'" \n \"', "a b"]
)
def test_a_value_is_read_back_as_it_was_by_us_and_by_django_environ(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.env"
    envfile.write_private(path, envfile.render({"KILONOVA_TRIAL": value}))
    assert envfile.read(path) == {"KILONOVA_TRIAL": value}
    monkeypatch.delenv("KILONOVA_TRIAL", raising=False)
    monkeypatch.setattr(environ.Env, "ENVIRON", seen := {})
    environ.Env.read_env(path)
    assert seen["KILONOVA_TRIAL"] == value


def test_a_value_with_a_line_break_is_refused_by_name() -> None:
    with pytest.raises(Trouble, match="KILONOVA_TRIAL"):
        envfile.render({"KILONOVA_TRIAL": "a\nb"})


def test_no_secret_stands_in_the_arguments_of_any_program(load: Load) -> None:
    settings = load(KILONOVA_HOST_KEY="host-key")
    words = " ".join(word for program in programs.programs(settings) for word in program.command)
    for name in (*SECRETS, "KILONOVA_HOST_KEY", "BROKER_URL", "DATABASE_URL"):
        assert settings[name] not in words


def test_compute_workers_are_not_pointed_at_the_file_with_the_secrets(load: Load) -> None:
    settings = load()
    for program in programs.programs(settings):
        if program.name.startswith("compute"):
            assert program.environment["KILONOVA_ENV_FILE"] == str(settings.compute_env_file)
            assert "DJANGO_SETTINGS_MODULE" not in program.environment


def test_one_worker_listens_to_the_queues_of_all_simulated_hosts(load: Load) -> None:
    found = {program.name: program.command for program in programs.programs(load(KILONOVA_HOST="h1,h2"))}
    assert "compute.h1,compute.h2" in found["compute"]
    assert "compute.h1.ctl,compute.h2.ctl" in found["compute-ctl"]


def test_a_simulation_of_many_hosts_has_no_redis_rules_to_slow_it(load: Load) -> None:
    settings = remembered(load(KILONOVA_HOST="h1,h2"))
    assert not [line for line in redis.own_users(settings) if "compute." in line]
    assert envfile.read(settings.compute_env_file)["BROKER_URL"] == settings["BROKER_URL"]


# --- roles ----------------------------------------------------------------------------------------------------------


def test_a_machine_without_the_role_compute_has_no_host_and_its_compute_file_tells_nothing(load: Load) -> None:
    settings = remembered(load(ROLES="api,conductor,beat"))
    assert settings.hosts == []
    assert [program.name for program in programs.programs(settings)] == ["redis", "api", "conductor", "beat"]
    assert envfile.read(settings.compute_env_file) == {}
    assert not [line for line in redis.own_users(settings) if "compute." in line]


def test_a_role_that_is_not_there_is_refused_with_the_ones_that_are(load: Load) -> None:
    with pytest.raises(Trouble, match="there is no role 'computer'; there are api conductor beat compute flower"):
        load(ROLES="api,computer")


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "has_tls"),
    [
        ({}, False),
        ({"API_HOST": "localhost", "REDIS_HOST": "127.0.0.2", "HOST_IP": "::1"}, False),
        ({"API_HOST": "0.0.0.0"}, True),
        ({"REDIS_HOST": "192.0.2.10"}, True),
        ({"HOST_IP": "192.0.2.10"}, True),
        ({"FLOWER_ADDRESS": "::"}, True),
        ({"API_HOST": "0.0.0.0", "TLS": "off"}, False),
        ({"TLS": "on"}, True),
    ],
)
def test_tls_is_on_as_soon_as_a_network_is_used_unless_it_is_said_otherwise(
    load: Load, said: dict[str, str], has_tls: bool
) -> None:
    settings = load(**said)
    assert settings.has_tls is has_tls
    assert settings["PUBLIC_URL"].startswith("https:" if has_tls else "http:")
    assert settings.local_url.startswith("https:" if has_tls else "http:")
    assert settings["BROKER_URL"].startswith("rediss:" if has_tls else "redis:")
    assert settings.get("BROKER_CA_FILE") == settings.get("IMAGE_CA_FILE") == settings.ca_file
    assert ("tls-port" in redis.config(settings)) is has_tls
    assert ("port 0" in redis.config(settings)) is has_tls
    api = next(program for program in programs.programs(settings) if program.name == "api")
    assert ("API_TLS_CERT" in api.environment) is has_tls
    assert ("cacert" in client_files.render_clouds(settings)) is has_tls
    assert ("OS_CACERT" in client_files.render_openrc(settings)) is has_tls


def test_a_plain_public_url_of_an_api_that_speaks_tls_is_refused(load: Load) -> None:
    with pytest.raises(Trouble, match=r"PUBLIC_URL=http://192.0.2.10:8774.*say https://, or TLS=off"):
        load(API_HOST="0.0.0.0", PUBLIC_URL="http://192.0.2.10:8774")
    assert load(API_HOST="0.0.0.0", PUBLIC_URL="http://192.0.2.10:8774", TLS="off")["PUBLIC_URL"].startswith("http:")
    assert load(API_HOST="0.0.0.0", PUBLIC_URL="https://cloud.example.org").has_tls  # a proxy before it


def test_a_word_that_tls_does_not_know_is_refused(load: Load) -> None:
    with pytest.raises(Trouble, match="TLS=yes: say auto, on or off"):
        load(TLS="yes")


def test_hosts_on_other_machines_are_told_an_address_of_redis_that_they_reach(load: Load) -> None:
    anywhere = {"API_HOST": "0.0.0.0", "REDIS_HOST": "0.0.0.0"}
    told = [
        load(REDIS_HOST="192.0.2.10"),
        load(**anywhere, HOST_IP="192.0.2.10"),
        load(**anywhere, PUBLIC_URL="https://192.0.2.10:8774"),
    ]
    for settings in told:
        assert settings.broker_url_of("h2", "key").endswith("@192.0.2.10:8776/0")
        assert settings.broker_url_of("h2", "key").startswith("rediss://compute.h2:")


def test_the_login_that_administers_redis_is_in_no_file_that_the_control_plane_reads_as_its_broker(load: Load) -> None:
    settings = remembered(load())
    told = envfile.read(settings.env_file)
    assert told["BROKER_URL"].startswith("redis://kilonova:")
    assert settings["REDIS_PASSWORD"] not in told["BROKER_URL"] + told["HOSTS_BROKER_URL"]
    assert "BROKER_ADMIN_URL" not in told
