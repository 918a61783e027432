"""A database condition that Django lacks on SQLite: a JSON list that has a text among its items."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import BooleanField, Lookup


class HasItem(Lookup):
    """`filter(HasItem(F("tags"), "x"))`: the list holds the text "x"."""

    lookup_name = "has_item"
    prepare_rhs = False
    output_field = BooleanField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value = %s)", [*parameters, str(self.rhs)]

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} @> %s::jsonb", [*parameters, json.dumps([str(self.rhs)])]
