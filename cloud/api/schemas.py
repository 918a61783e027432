"""Bodies and queries against JSON schemas: the error names the field and the value."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match

from cloud.errors import BadRequest

_SHOWN = 200


def schema(document: dict[str, Any]) -> Draft202012Validator:
    """A compiled schema; make it once, at import."""
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document, format_checker=FormatChecker())


def validate(validator: Draft202012Validator, body: Any) -> dict[str, Any]:
    """The body, when it fits. BadRequest naming the field and its value when not."""
    if validator.is_valid(body):
        return body  # type: ignore[no-any-return]
    error = best_match(validator.iter_errors(body))
    field = "/".join(str(part) for part in error.absolute_path)
    if not field:
        raise BadRequest(f"Invalid input: {error.message[:_SHOWN]}", field="")
    value = repr(error.instance)
    value = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    message = error.message if len(error.message) <= 2 * _SHOWN else f"it fails the check {error.validator!r}"
    raise BadRequest(f"Invalid input for field/attribute {field}. Value: {value}. {message}", field=field)


NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^(?=.*\S)[^\x00-\x1f\x7f]*\Z"}
UUID = {
    "type": "string",
    "pattern": "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}\\Z",
}
BOOLEAN = {"enum": [True, False, "true", "false", "True", "False", "TRUE", "FALSE", "1", "0", "yes", "no", 1, 0]}


def boolean(value: Any) -> bool:
    """A value that fits BOOLEAN, as a bool."""
    return str(value).lower() in ("true", "1", "yes", "on")
