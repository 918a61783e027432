"""The repairs of kombu: what they keep, and when they let go."""

from __future__ import annotations

from typing import Any

import redis
from kombu.transport.redis import Channel

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
