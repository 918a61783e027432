"""With the Redis user of h1: its own queues, and of everybody else's nothing but adding to the conductors'."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis
from celery import Celery

from cloud.broker import celery_settings
from tests.broker import brokers
from tests.broker.brokers import Broker

Attempt = Callable[[redis.Redis], object]

KEYS_OF_H2 = [
    pattern.format(queue)
    for queue in ("compute.h2", "compute.h2.ctl")
    for pattern in ("{}", "unacked.{}", "unacked_index.{}", "unacked_mutex.{}", "_kombu.binding.{}")
]
COMMANDS_ON_A_KEY: dict[str, Callable[[redis.Redis, str], object]] = {
    "BRPOP": lambda client, key: client.brpop([key], timeout=1),
    "RPOP": lambda client, key: client.rpop(key),
    "LRANGE": lambda client, key: client.lrange(key, 0, -1),
    "LLEN": lambda client, key: client.llen(key),
    "GET": lambda client, key: client.get(key),
    "HGET": lambda client, key: client.hget(key, "tag"),
    "HGETALL": lambda client, key: client.hgetall(key),
    "SMEMBERS": lambda client, key: client.smembers(key),
    "ZRANGE": lambda client, key: client.zrange(key, 0, -1),
    "LPUSH": lambda client, key: client.lpush(key, "order"),
    "RPUSH": lambda client, key: client.rpush(key, "order"),
    "SADD": lambda client, key: client.sadd(key, "member"),
    "SET": lambda client, key: client.set(key, "value"),
    "HSET": lambda client, key: client.hset(key, "tag", "message"),
    "HDEL": lambda client, key: client.hdel(key, "tag"),
    "ZADD": lambda client, key: client.zadd(key, {"tag": 1}),
    "ZREM": lambda client, key: client.zrem(key, "tag"),
    "DEL": lambda client, key: client.delete(key),
    "RENAME": lambda client, key: client.rename(key, "compute.h1"),
    "DUMP": lambda client, key: client.dump(key),
}
# What reads, empties or spoils the conductors' queue; adding to it (LPUSH) and counting it are what a host needs.
ON_THE_CONDUCTORS = sorted(COMMANDS_ON_A_KEY.keys() - {"LPUSH", "LLEN", "SADD"})
ON_EVERYTHING: dict[str, Attempt] = {
    "KEYS": lambda client: client.keys("*"),
    "SCAN": lambda client: client.scan(),
    "FLUSHALL": lambda client: client.flushall(),
    "FLUSHDB": lambda client: client.flushdb(),
    "SWAPDB": lambda client: client.swapdb(0, 1),
    "CONFIG GET": lambda client: client.config_get("dir"),
    "CONFIG SET": lambda client: client.config_set("dir", "/tmp"),
    "ACL LIST": lambda client: client.acl_list(),
    "ACL SETUSER": lambda client: client.acl_setuser("compute.h1", commands=["+@all"]),
    "ACL WHOAMI": lambda client: client.acl_whoami(),
    "MONITOR": lambda client: client.execute_command("MONITOR"),
    "CLIENT LIST": lambda client: client.client_list(),
    "CLIENT KILL": lambda client: client.client_kill_filter(_type="normal"),
    "CLIENT PAUSE": lambda client: client.client_pause(1),
    "SHUTDOWN": lambda client: client.execute_command("SHUTDOWN"),
    "SAVE": lambda client: client.save(),
    "REPLICAOF": lambda client: client.replicaof("127.0.0.1", 1),
    "EVAL": lambda client: client.eval("return redis.call('LLEN', 'compute.h2')", 0),
    "INFO": lambda client: client.info(),
    "SUBSCRIBE": lambda client: client.execute_command("SUBSCRIBE", "/0.celeryev/worker.heartbeat"),
    "PSUBSCRIBE": lambda client: client.execute_command("PSUBSCRIBE", "*"),
    "PUBLISH of remote control": lambda client: client.publish("/0.celery.pidbox", "shutdown"),
    "PUBLISH to its answers": lambda client: client.publish("/0.reply.celery.pidbox", "x"),
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.running(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


def refused(attempt: Callable[[], object]) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        attempt()


@pytest.mark.parametrize("key", KEYS_OF_H2)
@pytest.mark.parametrize("command", sorted(COMMANDS_ON_A_KEY))
def test_a_host_does_nothing_with_the_keys_of_another(broker: Broker, key: str, command: str) -> None:
    refused(lambda: COMMANDS_ON_A_KEY[command](broker.host("h1"), key))


@pytest.mark.parametrize("command", ON_THE_CONDUCTORS)
@pytest.mark.parametrize(
    "key", ["conductor", "_kombu.binding.conductor", "_kombu.binding_permanent.conductor", "unacked.conductor"]
)
def test_a_host_neither_reads_nor_spoils_the_keys_of_the_conductors(broker: Broker, key: str, command: str) -> None:
    refused(lambda: COMMANDS_ON_A_KEY[command](broker.host("h1"), key))


@pytest.mark.parametrize("queue", ["scheduler", "celery", "unacked", "_kombu.binding.celeryev"])
def test_a_host_adds_to_no_queue_but_its_own_and_the_conductors(broker: Broker, queue: str) -> None:
    refused(lambda: broker.host("h1").lpush(queue, "message"))
    refused(lambda: broker.host("h1").sadd(queue, "member"))


@pytest.mark.parametrize("command", sorted(ON_EVERYTHING))
def test_a_host_is_refused(broker: Broker, command: str) -> None:
    refused(lambda: ON_EVERYTHING[command](broker.host("h1")))


def test_a_script_of_a_host_may_do_no_more_than_the_host(broker: Broker) -> None:
    host = broker.host("h1")
    digest = host.script_load("return redis.call('LPUSH', KEYS[1], 'order')")
    refused(lambda: host.evalsha(digest, 1, "compute.h2"))
    stolen = host.script_load("return redis.call('LPUSH', 'compute.h2', 'order')")
    with pytest.raises(redis.exceptions.ResponseError):  # a key that was not declared, or that is not its own
        host.evalsha(stolen, 0)
    assert broker.admin.llen("compute.h2") == 0


def test_a_transaction_of_a_host_with_one_forbidden_command_does_nothing(broker: Broker) -> None:
    pipe = broker.host("h1").pipeline(transaction=True)
    pipe.lpush("conductor", "report").lpush("compute.h2", "order")
    with pytest.raises(redis.exceptions.ResponseError):
        pipe.execute()
    assert broker.admin.llen("compute.h2") == broker.admin.llen("conductor") == 0


def test_a_host_works_with_its_own_queues_and_reports_to_the_conductors(broker: Broker) -> None:
    """The reverse of all the refusals: it is the rules that refuse, and not a login that does not work."""
    host = broker.host("h1")
    for queue in ("compute.h1", "compute.h1.ctl"):
        host.lpush(queue, "order")
        assert host.brpop([queue], timeout=1) == (queue.encode(), b"order")
        host.hset(f"unacked.{queue}", "tag", "message")
        host.zadd(f"unacked_index.{queue}", {"tag": 1})
        assert host.hget(f"unacked.{queue}", "tag") == b"message"
        host.delete(f"unacked.{queue}", f"unacked_index.{queue}")
    host.lpush("conductor", "report")
    host.publish("/0.celeryev/worker.heartbeat", "{}")
    assert broker.admin.rpop("conductor") == b"report"


def test_nobody_is_let_in_without_a_password(broker: Broker) -> None:
    stranger = redis.Redis(port=broker.settings.port("REDIS_PORT"))
    with pytest.raises(redis.exceptions.AuthenticationError):
        stranger.ping()


def test_with_a_new_key_the_old_password_ends_at_once_for_who_is_logged_in_too(broker: Broker) -> None:
    broker.admit("h3", "the old key")
    old = broker.host("h3", "the old key").client()  # one connection, kept
    assert old.ping()
    broker.admit("h3", "the new key", ends_sessions=True)
    with pytest.raises((redis.exceptions.AuthenticationError, redis.exceptions.ConnectionError)):
        old.ping()
    with pytest.raises(redis.exceptions.AuthenticationError):
        broker.host("h3", "the old key").ping()
    assert broker.host("h3", "the new key").ping()


def test_what_a_host_adds_to_the_conductors_binding_leads_no_message_elsewhere(broker: Broker) -> None:
    """It must add itself there to publish at all; kombu looks nothing up for a queue that is named."""
    binding = "\x06\x16".join(["conductor", "", "compute.h2"])
    for table in ("_kombu.binding.conductor", "_kombu.binding_permanent.conductor"):
        broker.host("h1").sadd(table, binding)
    app = Celery("control", set_as_current=False)
    app.conf.update(celery_settings(broker.settings["BROKER_URL"], "control"))
    app.send_task("workflow.sweep", queue="conductor", retry=False)
    assert broker.admin.llen("conductor") == 1
    assert broker.admin.llen("compute.h2") == 0
    broker.admin.delete("conductor", "_kombu.binding.conductor", "_kombu.binding_permanent.conductor")
