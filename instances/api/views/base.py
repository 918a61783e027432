"""What every view of this room does: refuse what no database keeps, read bodies by schema, find the server."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator
from rest_framework.request import Request

from cloud.api.schemas import validate
from cloud.api.views import ComputeView
from cloud.errors import BadRequest
from instances import selectors
from instances.models import Instance


class InstancesView(ComputeView):
    """A resource of this room."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        for name, values in request.query_params.lists():
            if "\x00" in name or any("\x00" in value for value in values):
                raise BadRequest(f"Invalid input for query parameter {name[:80]!r}: it has a null character.")

    def body(self, validator: Draft202012Validator) -> dict[str, Any]:
        """The request's body, when it fits. BadRequest naming field and value when not."""
        data = self.request.data
        field = _null_character(data, "")
        if field is not None:
            raise BadRequest(f"Invalid input for field/attribute {field}: it has a null character.", field=field)
        return validate(validator, data)

    def instance(self, server_id: str, *, with_deleted: bool = False) -> Instance:
        """The server of the URL; 404 for another project's."""
        return selectors.instance_for(self.caller, server_id, with_deleted=with_deleted)


def no_such_action(name: str) -> BadRequest:
    """The error for a key of POST /servers/{id}/action that nothing serves, in the version asked for."""
    return BadRequest(f"There is no such action: {name[:80]}", field=name[:80])


def _null_character(data: Any, path: str) -> str | None:
    """Where a text or a key has a null character, which PostgreSQL cannot keep."""
    if isinstance(data, str):
        return path if "\x00" in data else None
    if isinstance(data, dict):
        for key, value in data.items():
            at = f"{path}/{key}" if path else str(key)
            found = at.replace("\x00", "\\0") if "\x00" in key else _null_character(value, at)
            if found is not None:
                return found
    if isinstance(data, list):
        for position, value in enumerate(data):
            found = _null_character(value, f"{path}/{position}")
            if found is not None:
                return found
    return None
