"""Where the host stands with the conductors (rule R6): may it take work, and under which generation.

In the journal's directory, for the two worker processes of a host share it: `generation` holds the last one that the
host was given, `hello` is there while it waits for the answer to a hello (no work is taken then), `answer` is that
answer, and `heard` is what the conductors said last of its heartbeats. The control process hears, the main one acts.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypervisor import side_files


class Standing:
    """The standing of one host, as one of its processes has it.

    `silent_from` is the moment (of the monotonic clock) from which this process counts its host as cut off; the agent
    moves it on with every heartbeat that was acknowledged. Infinite in a process that has no agent to say hello.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.silent_from = math.inf

    def known(self) -> int:
        """The last generation that the host was given; 0 when it knows of none: its journal is new, or lost."""
        try:
            return int((self.directory / "generation").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def current(self) -> int:
        """The generation under which work is taken now; 0 while none is."""
        if time.monotonic() > self.silent_from or (self.directory / "hello").exists():
            return 0
        return self.known()

    @contextmanager
    def held(self, generation: int) -> Iterator[bool]:
        """Whether `generation` is current; it stays so for the body. No step begins after a hello under an older one:
        who leaves waits for the bodies."""
        with self._gate(fcntl.LOCK_SH):
            yield generation == self.current()

    def leave(self) -> str:
        """From here on no work is taken, by any process of the host. Gives the id of the hello to be said."""
        hello = secrets.token_hex(16)
        with self._gate(fcntl.LOCK_EX):
            side_files.write(self.directory / "hello", {"id": hello})
        self._forget("answer", "heard")
        return hello

    def enter(self, generation: int) -> None:
        """From here on work is taken under `generation`, and no other."""
        with self._gate(fcntl.LOCK_EX):
            draft = self.directory / "generation.draft"
            with open(draft, "w", encoding="ascii") as stream:
                stream.write(str(generation))
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(draft, self.directory / "generation")
            self._forget("hello", "answer", "heard")
            side_files.sync_directory(self.directory)

    # --- what the control process hears, for the main one to read ---

    def put_answer(self, answer: dict[str, Any]) -> bool:
        """Keeps the answer to the hello that was said last; False when it answers another."""
        asked = side_files.read(self.directory / "hello")
        if asked is None or asked["id"] != answer.get("hello"):
            return False
        side_files.write(self.directory / "answer", answer, durable=False)
        return True

    def answer(self, hello: str) -> dict[str, Any] | None:
        """The answer to that hello, once it is there."""
        answer = side_files.read(self.directory / "answer")
        return answer if answer is not None and answer.get("hello") == hello else None

    def put_heard(self, said: dict[str, Any]) -> None:
        """Keeps what the conductors said of a heartbeat."""
        side_files.write(self.directory / "heard", said, durable=False)

    def heard(self) -> dict[str, Any] | None:
        """What the conductors said last of a heartbeat in this standing; None before that."""
        return side_files.read(self.directory / "heard")

    def _forget(self, *names: str) -> None:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                (self.directory / name).unlink()

    @contextmanager
    def _gate(self, mode: int) -> Iterator[None]:
        gate = os.open(self.directory / "gate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(gate, mode)
            yield
        finally:
            os.close(gate)
