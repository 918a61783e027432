"""What a host says: hello, results of steps, renewals of leases, heartbeats, changes of guests; and what is said to it.
Each message is signed with the host's own key.

Shapes are plain JSON; `PROTOCOL` is on every message in both directions, and conductors read N and N−1 (rule R12).
Tokens and signatures are HMAC-SHA256 (rule R7).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, TypedDict

PROTOCOL = 1
READABLE = (PROTOCOL, PROTOCOL - 1)

ADVANCE = "workflow.advance"
HELLO = "workflow.hello"
RENEW = "workflow.renew"
HEARTBEAT = "workflow.heartbeat"
GUEST_CHANGED = "workflow.guest_changed"
ANSWER = "workflow.answer"
WELCOME = "hypervisor.welcome"  # the answer to a hello, on the control queue
HEARD = "hypervisor.heard"  # a heartbeat was heard, or its host has to say hello first
CONDUCTOR_QUEUE = "conductor"


class StepResult(TypedDict):
    """What one step ended with. `status` is `done`, `failed`, `behind` (the host has seen a higher turn) or `refused`
    (it has another generation)."""

    seq: int
    name: str
    verb: str
    host: str
    generation: int
    turn: int
    status: str
    output: Any
    error: dict[str, Any] | None
    started: float
    finished: float
    signature: str


def queue_of(host: str) -> str:
    """The queue of a host's operations."""
    return f"compute.{host}"


def control_queue_of(host: str) -> str:
    """The queue of a host's aborts and queries: a worker process of its own reads it."""
    return f"compute.{host}.ctl"


def canonical(data: Any) -> bytes:
    """JSON data as bytes, the same for the same data."""
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def sign(key: str, *parts: Any) -> str:
    """HMAC of `parts` (JSON values) under a host's key, hex."""
    return hmac.new(key.encode(), canonical(parts), hashlib.sha256).hexdigest()


def is_signed(signature: Any, key: str, *parts: Any) -> bool:
    """Whether `signature` is that of `parts` under `key`; constant time."""
    return isinstance(signature, str) and hmac.compare_digest(signature, sign(key, *parts))


def token_parts(action_id: str, item: dict[str, Any]) -> tuple[Any, ...]:
    """What the token of an ordered step covers: action, seq, step, verb, turn, host, generation, digest of inputs."""
    return ("token", action_id, *(item[k] for k in ("seq", "name", "verb", "turn", "host", "generation", "digest")))


def result_parts(action_id: str, result: dict[str, Any] | StepResult) -> tuple[Any, ...]:
    """What the signature of a step's result covers: all of it."""
    return ("result", action_id, *(result[k] for k in _RESULT_FIELDS))  # type: ignore[literal-required]


_RESULT_FIELDS = (
    "seq",
    "name",
    "verb",
    "host",
    "generation",
    "turn",
    "status",
    "output",
    "error",
    "started",
    "finished",
)


def signed_message(key: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """A message from a host, or to it: `body` with protocol and signature."""
    message = {**body, "protocol": PROTOCOL}
    return {**message, "signature": sign(key, kind, message)}


def is_genuine(key: str, kind: str, message: dict[str, Any]) -> bool:
    """Whether a message of this kind was signed with that key, in a protocol that is read here."""
    unsigned = {name: value for name, value in message.items() if name != "signature"}
    return unsigned.get("protocol") in READABLE and is_signed(message.get("signature"), key, kind, unsigned)
