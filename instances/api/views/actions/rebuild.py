"""`rebuild`."""

from __future__ import annotations

from typing import Any

import orjson
from rest_framework.response import Response

from cloud.api.schemas import boolean
from cloud.errors import BadRequest
from instances import selectors, services
from instances.api.links import self_url
from instances.api.passwords import new_password
from instances.api.schemas import remake as schemas
from instances.api.serializers import servers as serializers
from instances.api.views.base import InstancesView
from instances.models import Instance

_COLUMNS = {
    "name": "display_name",
    "metadata": "metadata",
    "description": "description",
    "hostname": "hostname",
    "key_name": "key_name",
    "user_data": "user_data",
    "OS-DCF:diskConfig": "disk_config",
    "accessIPv4": "access_ip_v4",
    "accessIPv6": "access_ip_v6",
}
_BLANK_FOR_NULL = {"user_data": "", "access_ip_v4": None, "access_ip_v6": None}


def rebuild(view: InstancesView, instance: Instance) -> Response:
    """Puts the instance on a new disk. The reply is the server as it is going to be."""
    asked = view.body(schemas.rebuild(view.version))["rebuild"]
    _check_served(asked)
    password = asked.get("adminPass") or new_password()
    action = services.rebuild_instance(
        caller=view.caller, instance=instance, image_id=asked["imageRef"], password=password, changes=_changes(asked)
    )
    shown = _shown(view, instance, action.parameters["changes"])
    shown["adminPass"] = password
    response = Response({"server": shown}, status=202)
    response["Location"] = self_url(f"servers/{instance.pk}")
    return response


def _check_served(asked: dict[str, Any]) -> None:
    if boolean(asked.get("preserve_ephemeral", False)):
        raise BadRequest(
            "Invalid input for field/attribute preserve_ephemeral. Value: True. A rebuild makes all local disks anew.",
            field="preserve_ephemeral",
        )
    if asked.get("personality"):
        raise BadRequest(
            "Invalid input for field/attribute personality: files are not injected; send user_data instead.",
            field="personality",
        )


def _changes(asked: dict[str, Any]) -> dict[str, Any]:
    """What the body changes of the row, by column."""
    changes = {column: asked[key] for key, column in _COLUMNS.items() if key in asked}
    if "display_name" in changes:
        changes["display_name"] = changes["display_name"].strip()
    for column, blank in _BLANK_FOR_NULL.items():
        if column in changes:
            changes[column] = changes[column] or blank
    return changes


def _shown(view: InstancesView, instance: Instance, changes: dict[str, Any]) -> dict[str, Any]:
    """The server with what will change; what it is until then stays to be seen by GET."""
    is_brief = view.version.minor < 75
    form = serializers.Form(version=view.version, is_admin=view.caller.is_admin, is_brief=is_brief)
    rows = serializers.rows_of(selectors.instance_rows(view.caller, str(instance.pk)), form)
    if not rows:
        raise selectors.no_such_instance(instance.pk)
    row = {**rows[0], **{column: value for column, value in changes.items() if column in rows[0]}}
    if "metadata" in changes:
        row["metadata_text"] = orjson.dumps(changes["metadata"]).decode()
    shown = serializers.server(row, form, serializers.beside(rows, form))
    if form.has(54):
        shown["key_name"] = row["key_name"]
    if form.has(57):
        shown["user_data"] = changes.get("user_data", instance.user_data) or None
    return shown


ACTIONS = {"rebuild": rebuild}
