"""Users of Redis: what each may do, in one place (docs/decisions/0014).

A compute host reads its own queues and writes the conductors', and no more: one that is taken over can neither read
another's orders nor give any. The control plane has a user that cannot administer Redis. Django-free. Redis 7 or later,
for its rules about reading and writing and its selectors.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import quote, urlsplit, urlunsplit

import redis

CONTROL_USER = "kilonova"

# What Celery on Redis gets by with on a host's own keys, and nothing of CLIENT that is about other clients.
_COMMANDS = (
    "+ping +hello +client|setname +select +brpop +lpush +rpush +llen +sadd +smembers +zadd +zrem +zrange +hset +hget "
    "+hdel +multi +exec +watch +unwatch +discard +evalsha +script|load +set +get +del"
)
_OWN_KEYS = (
    "~{queue} ~unacked.{queue} ~unacked_index.{queue} ~unacked_mutex.{queue} "
    "%R~_kombu.binding.{queue} %W~_kombu.binding.{queue} ~_kombu.binding_permanent.{queue}"
)
# To the conductors' keys it may add, and nothing else: with DEL or SET on them one host would silence all the others.
_CONDUCTORS = (
    "(-@all +lpush +llen %W~conductor)",
    "(-@all +sadd %W~_kombu.binding.conductor %W~_kombu.binding_permanent.conductor)",
)
# Celery's events, for Flower: a host can falsify what Flower shows, and only that.
_EVENTS = "+publish &/0.celeryev/*"
_CONTROL = "~* &* +@all -@admin -@dangerous +info"


class BrokerRefused(Exception):
    """The broker does not take the user; `why` says it to an operator."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class NotKept(BrokerRefused):
    """The user is there, and this Redis forgets it when it ends."""


def user_of(host: str) -> str:
    """The Redis user of a host's two worker processes."""
    return f"compute.{host}"


def password_of(host_key: str) -> str:
    """Its password: it follows from the host's key, so that a new key is also a new password."""
    return hmac.new(host_key.encode(), b"broker", hashlib.sha256).hexdigest()


def digest_of(password: str) -> str:
    """A password as Redis keeps it."""
    return hashlib.sha256(password.encode()).hexdigest()


def host_rules(host: str, digest: str) -> list[str]:
    """What stands behind the user's name in ACL SETUSER and in an ACL file, for a password of that digest."""
    own = [word for suffix in ("", ".ctl") for word in _OWN_KEYS.format(queue=f"compute.{host}{suffix}").split()]
    words = f"reset on #{digest} resetchannels -@all {_COMMANDS} {_EVENTS}".split()
    return [*words, *own, *_CONDUCTORS]


def host_line(host: str, digest: str) -> str:
    """The user of a host as a line of an ACL file."""
    return " ".join(["user", user_of(host), *host_rules(host, digest)])


def with_rules_of_now(line: str) -> str:
    """A line of an ACL file, a host's with the rules of this version and the password that it had."""
    words = line.split()
    digest = next((word[1:] for word in words if word.startswith("#")), "")
    prefix = user_of("")
    return host_line(words[1].removeprefix(prefix), digest) if words[1].startswith(prefix) and digest else line


def control_line(password: str) -> str:
    """The user of the API, the conductors, beat and Flower: every queue, and nothing of Redis itself."""
    return f"user {CONTROL_USER} reset on #{digest_of(password)} resetchannels {_CONTROL}"


def admin_line(password: str) -> str:
    """Redis' own user `default`, with all rights: for who enrols hosts."""
    return f"user default reset on #{digest_of(password)} ~* &* +@all"


def url_for(broker_url: str, user: str, password: str) -> str:
    """A broker URL with another login."""
    parts = urlsplit(broker_url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='.')}:{quote(password, safe='')}@{address}"))


def has_users(broker_url: str) -> bool:
    """Whether the broker is a Redis, the only one that has users here."""
    return urlsplit(broker_url).scheme in ("redis", "rediss", "redis+socket", "unix")


def admit(admin_url: str, host: str, host_key: str, *, ca_file: str = "", ends_sessions: bool = False) -> None:
    """Makes the host's user, or sets its rules and password anew, and has Redis keep it.

    `ends_sessions`: whoever is logged in as that user is thrown out, and has to know the password that is set now.
    Raises BrokerRefused when the user could not be made, NotKept when Redis has no file to keep it in.
    """
    trust = {"ssl_ca_certs": ca_file} if ca_file and admin_url.startswith("rediss") else {}
    try:
        with redis.Redis.from_url(admin_url, socket_timeout=10, socket_connect_timeout=10, **trust) as client:
            rules = host_rules(host, digest_of(password_of(host_key)))
            client.execute_command("ACL SETUSER", user_of(host), *rules)
            if ends_sessions:
                client.execute_command("CLIENT KILL", "USER", user_of(host))
            _keep(client)
    except redis.exceptions.NoPermissionError as error:
        raise BrokerRefused("the login of BROKER_ADMIN_URL may not run ACL SETUSER") from error
    except redis.exceptions.RedisError as error:
        raise BrokerRefused(f"Redis did not take it: {error}") from error


def _keep(client: redis.Redis) -> None:
    try:
        client.execute_command("ACL SAVE")
    except redis.exceptions.ResponseError as error:
        raise NotKept(str(error).partition(". ")[0]) from error
