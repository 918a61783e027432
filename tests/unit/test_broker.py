"""The repairs of kombu: what they keep, and when they let go."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from kombu.transport.redis import Channel, QoS

from cloud import broker


class ChannelStandIn:
    """What `Channel._create_client` looks at."""

    Client = redis.Redis

    def __init__(self) -> None:
        self.pool = redis.ConnectionPool()
        self.async_pool = redis.ConnectionPool()


def client_of(channel: ChannelStandIn, *, asynchronous: bool = False) -> Any:
    broker.keep_clients()
    return Channel._create_client(channel, asynchronous)


def test_a_channel_keeps_its_client_while_it_has_the_same_connection_pool() -> None:
    channel = ChannelStandIn()
    assert client_of(channel) is client_of(channel)
    assert client_of(channel).connection_pool is channel.pool


def test_a_channel_that_lost_its_connections_makes_a_new_client_for_the_new_pool() -> None:
    channel = ChannelStandIn()
    before = client_of(channel)
    channel.pool = redis.ConnectionPool()
    assert client_of(channel) is not before
    assert client_of(channel).connection_pool is channel.pool


def test_the_client_that_waits_for_messages_is_never_shared() -> None:
    channel = ChannelStandIn()
    waiting = client_of(channel, asynchronous=True)
    assert waiting is not client_of(channel)
    assert waiting is not client_of(channel, asynchronous=True)
    assert waiting.connection_pool is channel.async_pool


def test_two_channels_do_not_share_a_client() -> None:
    assert client_of(ChannelStandIn()) is not client_of(ChannelStandIn())


class LostPipe:
    """A pipe to a Redis that is gone."""

    def execute(self) -> None:
        raise redis.exceptions.ConnectionError("Connection refused")


def test_what_could_not_be_acknowledged_frees_its_place_so_that_the_loss_is_seen(monkeypatch: Any) -> None:
    """A worker with every thread at work when Redis went away was deaf for ever."""
    broker.free_lost_slots()
    broker.free_lost_slots()
    qos = QoS(ChannelStandIn(), prefetch_count=1)
    qos._on_collect.cancel()
    qos._delivered["tag"] = object()
    monkeypatch.setattr(QoS, "_remove_from_indices", lambda self, tag, pipe=None: LostPipe())
    assert not qos.can_consume()
    with pytest.raises(redis.exceptions.ConnectionError):
        qos.ack("tag")
    assert qos.can_consume()
