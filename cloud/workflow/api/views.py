"""What the wire has no equivalent for: actions by id, cancelling them, a STUCK one's way out, fencing a host."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cloud.api.paging import limit_of
from cloud.api.policy import require_admin
from cloud.api.schemas import BOOLEAN, boolean, schema, validate
from cloud.api.views import WireView
from cloud.errors import BadRequest, NotFound
from cloud.workflow import fencing, interventions
from cloud.workflow.api import serializers
from cloud.workflow.models import Action, Host
from cloud.workflow.operation import Operation, operations
from cloud.workflow.services import confirm_fenced
from cloud.workflow.states import LIVE, ActionState

_MOST = 200  # actions in one answer
_EMPTY = schema({"type": "object", "additionalProperties": False})
_FENCE = schema({"type": "object", "properties": {"confirm": BOOLEAN}, "additionalProperties": False})
_STATES = {"live": LIVE, **{str(state): (state,) for state in ActionState}}


class HostNotFound(NotFound):
    """No compute host of that name."""

    code = "host.not_found"


class _ActionsView(WireView):
    def visible(self) -> QuerySet[Action]:
        """The project's actions; all for an admin."""
        rows = Action.objects.all()
        return rows if self.caller.is_admin else rows.filter(project_id=self.caller.project_id or "-")

    def find(self, action_id: str) -> Action:
        """The action, or ActionNotFound (404)."""
        try:
            found = self.visible().filter(pk=uuid.UUID(action_id)).first()
        except ValueError:
            found = None
        if found is None:
            raise interventions.ActionNotFound(f"Action {action_id[:80]} could not be found.")
        return found

    def shown(self, action: Action) -> dict[str, Any]:
        """The body that answers."""
        context = {"is_admin": self.caller.is_admin}
        return {"action": serializers.ActionSerializer(action, context=context).data}


class ActionsView(_ActionsView):
    """GET /kilonova/v1/actions, newest first."""

    @extend_schema(
        responses=serializers.ActionsSerializer,
        parameters=[
            OpenApiParameter("target_id", str, description="of this instance, network or migration"),
            OpenApiParameter("request_id", str, description="what this request began"),
            OpenApiParameter("state", str, description="PENDING, RUNNING, …, or `live`"),
            OpenApiParameter("limit", int),
        ],
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        rows = self.visible()
        for name in ("target_id", "request_id", "state"):
            value = query.get(name)
            if value is None:
                continue
            if "\x00" in value:
                raise BadRequest(f"Invalid input for query parameter {name!r}: it has a null character.", field=name)
            if name == "target_id":
                rows = rows.filter(target_id=_uuid(name, value))
            elif name == "request_id":
                rows = rows.filter(request_id=value)
            elif value in _STATES:
                rows = rows.filter(state__in=_STATES[value])
            else:
                raise BadRequest(f"Invalid value {value[:80]!r} for state: one of {', '.join(_STATES)}.", field=name)
        found = rows.order_by("-created_at", "-id").prefetch_related("events")[: limit_of(query, _MOST)]
        return Response({"actions": [self.shown(action)["action"] for action in found]})


class ActionView(_ActionsView):
    """GET /kilonova/v1/actions/{id}."""

    @extend_schema(responses=serializers.OneActionSerializer)
    def get(self, request: Request, action_id: str) -> Response:
        return Response(self.shown(self.find(action_id)))


class CancelView(_ActionsView):
    """POST /kilonova/v1/actions/{id}/cancel: 202; 409 with the reason when there is no way back from where it is."""

    @extend_schema(request=None, responses={202: serializers.OneActionSerializer})
    def post(self, request: Request, action_id: str) -> Response:
        validate(_EMPTY, request.data)
        action = self.find(action_id)
        operations().get(action.operation, Operation()).check_caller(self.caller, action)
        return Response(self.shown(interventions.cancel_action(action.pk)), status=202)


class RetryView(_ActionsView):
    """POST /kilonova/v1/actions/{id}/retry: for admins, of a STUCK one."""

    @extend_schema(request=None, responses={202: serializers.OneActionSerializer})
    def post(self, request: Request, action_id: str) -> Response:
        require_admin(self.caller, "trying an action again")
        validate(_EMPTY, request.data)
        return Response(self.shown(interventions.try_again(self.find(action_id).pk)), status=202)


class GiveUpView(_ActionsView):
    """POST /kilonova/v1/actions/{id}/give-up: for admins, of a STUCK one."""

    @extend_schema(request=None, responses=serializers.OneActionSerializer)
    def post(self, request: Request, action_id: str) -> Response:
        require_admin(self.caller, "giving an action up")
        validate(_EMPTY, request.data)
        by = f"user {self.caller.user_name}"
        return Response(self.shown(interventions.give_up(self.find(action_id).pk, by=by)))


class FenceView(WireView):
    """POST /kilonova/v1/hosts/{name}/fence: for admins, of a host that is down."""

    @extend_schema(
        request=serializers.FenceRequestSerializer,
        responses={200: serializers.OneHostSerializer, 202: serializers.OneHostSerializer},
    )
    def post(self, request: Request, name: str) -> Response:
        require_admin(self.caller, "fencing a host")
        is_confirmed = boolean(validate(_FENCE, request.data).get("confirm", False))
        host = Host.objects.filter(name=name).first()
        if host is None:
            raise HostNotFound(f"Host {name[:80]} could not be found.")
        (confirm_fenced if is_confirmed else fencing.ask)(host)
        host.refresh_from_db()
        return Response({"host": serializers.HostSerializer(host).data}, status=200 if is_confirmed else 202)


def _uuid(field: str, text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise BadRequest(f"Invalid value {text[:80]!r} for {field}: give a UUID.", field=field) from None
