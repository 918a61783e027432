"""Real supervisord, real Redis: what is killed comes back, what fails is tried for ever, what is left over is found."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
import redis as redis_client

from cloud import broker_users
from cloud.embedded import leftovers, ports, redis, state, supervisor, supervisord
from cloud.embedded import settings as settings_
from cloud.embedded.programs import BROKER, CLOUD, Program
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble

Load = Callable[..., Settings]
needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server here")


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> float:
    """Waits for a state; gives how long it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it did not happen"
        time.sleep(0.02)
    return time.monotonic() - begun


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(load: Load) -> Iterator[Settings]:
    api, flower, broker = free_port(), free_port(), free_port()
    loaded = load(API_PORT=str(api), FLOWER_PORT=str(flower), REDIS_PORT=str(broker))
    state.prepare(loaded)
    settings_.remember(loaded)
    yield loaded
    if supervisor.is_up(loaded):
        supervisor.stop(loaded)
    leftovers.end(loaded, patience=5)


def start(settings: Settings, programs: Sequence[Program]) -> None:
    supervisor.write_config(settings, programs)
    supervisor.start(settings)
    eventually(lambda: all(p.state in {"RUNNING", "BACKOFF"} for p in supervisor.processes(settings)))


SLEEPER = Program(name="sleeper", group=CLOUD, command=["/bin/sleep", "1000"])
FAILING = Program(name="failing", group=CLOUD, command=["/bin/false"])


def test_a_killed_process_is_back_within_two_seconds(settings: Settings) -> None:
    start(settings, [SLEEPER])
    killed = supervisor.named(settings, "sleeper").pid
    os.kill(killed, signal.SIGKILL)

    def is_back() -> bool:
        process = supervisor.named(settings, "sleeper")
        return process.pid not in {0, killed}

    assert eventually(is_back) < 2.0


def test_a_program_that_keeps_failing_is_tried_again_without_end_and_without_long_waits(settings: Settings) -> None:
    start(settings, [FAILING])
    log = settings.logs_dir / "supervisord.log"
    tries = supervisord.LONGEST_BACKOFF + 2  # plain supervisord would wait longer before each further one
    eventually(lambda: log.read_text().count("spawned: 'failing'") > tries, seconds=40)
    assert supervisor.named(settings, "failing").state in {"STARTING", "BACKOFF"}


def test_programs_of_a_killed_supervisor_are_found_and_ended(settings: Settings) -> None:
    start(settings, [SLEEPER])
    os.kill(int((settings.run_dir / "supervisord.pid").read_text()), signal.SIGKILL)
    eventually(lambda: not supervisor.is_up(settings))
    assert set(leftovers.find(settings).values()) == {"sleeper"}
    assert set(leftovers.end(settings).values()) == {"sleeper"}
    assert leftovers.find(settings) == {}


@needs_redis
def test_redis_wants_its_password_keeps_its_data_and_evicts_nothing(settings: Settings) -> None:
    redis.write_config(settings)
    program = Program(name="redis", group=BROKER, command=["/usr/bin/redis-server", str(redis.config_path(settings))])
    start(settings, [program])
    stranger = redis_client.Redis(port=settings.port("REDIS_PORT"))
    eventually(lambda: not ports.is_free("127.0.0.1", settings.port("REDIS_PORT")))
    with pytest.raises(redis_client.AuthenticationError):
        stranger.ping()
    broker = redis_client.Redis.from_url(settings.broker_admin_url)
    assert broker.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    assert broker.config_get("appendonly")["appendonly"] == "yes"
    broker.set("kept", "yes")
    eventually(lambda: broker.info("persistence")["aof_pending_bio_fsync"] == 0)
    supervisor.restart(settings, "redis")
    eventually(lambda: not ports.is_free("127.0.0.1", settings.port("REDIS_PORT")))
    assert redis_client.Redis.from_url(settings["BROKER_URL"]).get("kept") == b"yes"
    assert set(leftovers.find(settings).values()) == {"redis"}


def test_a_taken_port_is_reported_with_its_setting_and_its_holder(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.port("API_PORT")))
        taken.listen()
        with pytest.raises(Trouble) as refused:
            ports.check_free(settings)
    assert f"API_PORT={settings['API_PORT']} is taken" in refused.value.message
    if shutil.which("ss"):
        assert f"pid {os.getpid()}" in refused.value.message


def test_the_supervisors_configuration_is_secret_and_written_only_when_it_changes(settings: Settings) -> None:
    assert supervisor.write_config(settings, [SLEEPER])
    assert not supervisor.write_config(settings, [SLEEPER])
    assert supervisor.write_config(settings, [SLEEPER, FAILING])
    assert supervisor.config_path(settings).stat().st_mode & 0o077 == 0


def test_a_percent_sign_and_a_space_reach_the_program_as_they_are(settings: Settings) -> None:
    out = settings.run_dir / "a file"
    command = ["/bin/sh", "-c", "printf %s-%s $ODD $1 >$0 && exec sleep 1000", str(out), "100%"]
    start(settings, [Program(name="odd", group=CLOUD, command=command, environment={"ODD": "50%,x"})])
    eventually(lambda: out.exists() and out.read_text() == "50%,x-100%")


def test_a_value_that_would_break_the_configuration_is_refused(settings: Settings) -> None:
    with pytest.raises(Trouble, match="supervisord cannot be given"):
        supervisor.render(settings, [Program(name="x", group=CLOUD, command=["x"], environment={"A": 'a"b'})])


@needs_redis
def test_a_host_that_was_enrolled_is_let_in_after_redis_starts_again_and_after_up_wrote_its_files(
    settings: Settings,
) -> None:
    assert redis.write_config(settings)
    assert not redis.write_config(settings)
    program = Program(name="redis", group=BROKER, command=["/usr/bin/redis-server", str(redis.config_path(settings))])
    start(settings, [program])
    eventually(lambda: not ports.is_free("127.0.0.1", settings.port("REDIS_PORT")))
    broker_users.admit(settings.broker_admin_url, "h2", "key of h2")
    assert not redis.write_config(settings)  # what Redis wrote itself is no change
    (settings.run_dir / "redis-users").unlink()
    assert redis.write_config(settings)
    supervisor.restart(settings, "redis")
    eventually(lambda: not ports.is_free("127.0.0.1", settings.port("REDIS_PORT")))
    assert redis_client.Redis.from_url(settings.broker_url_of("h2", "key of h2")).ping()
    assert redis_client.Redis.from_url(settings["BROKER_URL"]).ping()


@needs_redis
def test_the_control_plane_uses_every_queue_and_does_not_administer_redis(settings: Settings) -> None:
    redis.write_config(settings)
    program = Program(name="redis", group=BROKER, command=["/usr/bin/redis-server", str(redis.config_path(settings))])
    start(settings, [program])
    eventually(lambda: not ports.is_free("127.0.0.1", settings.port("REDIS_PORT")))
    control = redis_client.Redis.from_url(settings["BROKER_URL"])
    control.lpush("compute.h1", "order")
    assert control.llen("compute.h1") == 1
    for denied in (control.flushall, control.acl_list, control.config_get, control.shutdown, control.keys):
        with pytest.raises(redis_client.exceptions.NoPermissionError):
            denied()
