"""JSON schemas of identity's bodies and queries. Unknown keys of users and projects are taken and dropped, as ever."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from cloud.api.schemas import NAME, boolean, schema, validate
from cloud.errors import BadRequest

_TEXT = {"type": "string", "maxLength": 65535, "pattern": "^[^\\x00]*$"}
_OPTIONAL_TEXT = {**_TEXT, "type": ["string", "null"]}
_KEY = {"type": "string", "maxLength": 255, "pattern": "^[^\\x00]*$"}
_OPTIONAL_KEY = {**_KEY, "type": ["string", "null"]}
_PASSWORD = {"type": "string", "minLength": 1, "maxLength": 4096}
_BOOLEAN = {"type": "boolean"}


def _object(properties: dict[str, Any], required: tuple[str, ...] = (), *, closed: bool = False) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": not closed,
    }


def _body(key: str, properties: dict[str, Any], required: tuple[str, ...] = ()) -> Any:
    return schema(_object({key: _object(properties, required)}, (key,)))


# --- tokens -----------------------------------------------------------------------------------------------------------
_DOMAIN = _object({"id": _KEY, "name": _KEY})
_PROJECT = _object({"id": _KEY, "name": _KEY, "domain": _DOMAIN})
_USER = _object({"id": _KEY, "name": _KEY, "domain": _DOMAIN, "password": {"type": "string"}}, ("password",))
_SCOPE = {
    "if": {"type": "string"},
    "then": {"enum": ["unscoped"]},
    "else": {
        **_object(
            {
                "project": _PROJECT,
                "domain": _DOMAIN,
                "system": _object({"all": {"const": True}}, ("all",)),
                "unscoped": {"type": "object"},
            },
            closed=True,
        ),
        "type": ["object", "null"],
    },
}
_IDENTITY = {
    **_object(
        {
            "methods": {"type": "array", "items": _KEY, "minItems": 1, "maxItems": 8},
            "password": _object({"user": _USER}, ("user",)),
            "token": _object({"id": {"type": "string", "maxLength": 1024}}, ("id",)),
        },
        ("methods",),
    ),
}
AUTH = schema(_object({"auth": _object({"identity": _IDENTITY, "scope": _SCOPE}, ("identity",))}, ("auth",)))

# --- domains, projects ------------------------------------------------------------------------------------------------
_DOMAIN_FIELDS = {"name": NAME, "description": _OPTIONAL_TEXT, "enabled": _BOOLEAN}
CREATE_DOMAIN = _body("domain", _DOMAIN_FIELDS, ("name",))
UPDATE_DOMAIN = _body("domain", _DOMAIN_FIELDS)
_PROJECT_FIELDS = {
    **_DOMAIN_FIELDS,
    "domain_id": _OPTIONAL_KEY,
    "parent_id": _OPTIONAL_KEY,
    "is_domain": {"const": False},
}
CREATE_PROJECT = _body("project", _PROJECT_FIELDS, ("name",))
UPDATE_PROJECT = _body("project", _PROJECT_FIELDS)

# --- users ------------------------------------------------------------------------------------------------------------
_USER_FIELDS = {
    "name": NAME,
    "domain_id": _OPTIONAL_KEY,
    "password": {**_PASSWORD, "type": ["string", "null"]},
    "email": _OPTIONAL_KEY,
    "description": _OPTIONAL_TEXT,
    "enabled": _BOOLEAN,
    "default_project_id": _OPTIONAL_KEY,
}
CREATE_USER = _body("user", _USER_FIELDS, ("name",))
UPDATE_USER = _body("user", _USER_FIELDS)
CHANGE_PASSWORD = _body(
    "user", {"password": _PASSWORD, "original_password": {"type": "string"}}, ("password", "original_password")
)

# --- roles ------------------------------------------------------------------------------------------------------------
_ROLE_FIELDS = {"name": NAME, "description": _OPTIONAL_TEXT, "domain_id": {"type": "null"}}
CREATE_ROLE = _body("role", _ROLE_FIELDS, ("name",))
UPDATE_ROLE = _body("role", _ROLE_FIELDS)

# --- queries ----------------------------------------------------------------------------------------------------------
_QUERY = schema(
    {"type": "object", "additionalProperties": {"type": "string", "maxLength": 1024, "pattern": "^[^\\x00]*$"}}
)


def query_of(parameters: QueryDict) -> dict[str, str]:
    """The query string, the last value of each name. BadRequest for what no database can look for."""
    return validate(_QUERY, parameters.dict())


def flag(query: dict[str, str], name: str) -> bool:
    """A switch of keystone's query strings: there, with no value or any but false, is true."""
    return name in query and query[name].lower() not in ("0", "false", "no")


def enabled_filter(query: dict[str, str]) -> dict[str, bool]:
    """The filter on `is_enabled` that the query asks for. BadRequest when its value is no boolean."""
    if "enabled" not in query:
        return {}
    text = query["enabled"].lower()
    if text not in ("", "true", "false", "1", "0"):
        raise BadRequest(f"Invalid input for query parameter enabled. Value: {text[:80]!r}. It must be true or false.")
    return {"is_enabled": text == "" or boolean(text)}
