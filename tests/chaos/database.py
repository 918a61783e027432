"""The cloud's database by plain SQL, SQLite or PostgreSQL: nothing of the engine reads it for us."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg2
import psycopg2.extras

_PATIENCE = 20.0  # seconds that SQLite may be locked


class Database:
    """One cloud's database. Each call has a connection of its own: whoever is killed, none is left open."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._file = url.removeprefix("sqlite:///") if url.startswith("sqlite") else None
        self.is_postgres = self._file is None

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of a query. `?` stands for a value. Ids are UUIDs in their usual form, times epoch seconds."""
        with closing(self._connect()) as connection:
            cursor = self._execute(connection, sql, values)
            names = [column[0] for column in cursor.description]
            return [{n: _plain(n, v) for n, v in zip(names, row, strict=True)} for row in cursor.fetchall()]

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Runs one statement that changes something; gives how many rows it changed."""
        with closing(self._connect()) as connection:
            cursor = self._execute(connection, sql, values)
            connection.commit()
            return int(cursor.rowcount)

    def moment(self, seconds_from_now: float) -> Any:
        """A time, as a value for a statement."""
        at = datetime.fromtimestamp(time.time() + seconds_from_now, UTC)
        return at.strftime("%Y-%m-%d %H:%M:%S.%f") if self._file else at

    def _connect(self) -> Any:
        if self._file:
            return sqlite3.connect(self._file, timeout=_PATIENCE)
        return psycopg2.connect(self._url)

    def _execute(self, connection: Any, sql: str, values: Sequence[Any]) -> Any:
        cursor = connection.cursor()
        cursor.execute(sql if self._file else sql.replace("?", "%s"), tuple(values))
        return cursor


def _plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.timestamp()
    if not isinstance(value, str):
        return value
    if name.endswith(("_at", "_until")):
        return datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp()
    if len(value) == 32 and (name == "id" or name.endswith(("_id", "consumer", "uuid"))) and _is_hex(value):
        return str(uuid.UUID(value))
    if value[:1] in "{[":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _is_hex(text: str) -> bool:
    return all(char in "0123456789abcdef" for char in text)
