"""The shapes of our own endpoints under `/kilonova/v1`, as the OpenAPI pages describe them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from cloud.workflow.interventions import why_not_cancellable
from cloud.workflow.models import Action, Host
from cloud.workflow.operation import wire_name


class ActionSerializer(serializers.ModelSerializer):
    """One action. `cannot_cancel`: why not, null when it can be. Step and host of a fault are for admins."""

    action = serializers.SerializerMethodField()
    fault = serializers.SerializerMethodField()
    cannot_cancel = serializers.SerializerMethodField()

    class Meta:
        model = Action
        fields = (
            *("id", "action", "operation", "target_type", "target_id", "project_id", "user_id", "request_id"),
            *("state", "cancel_requested", "cannot_cancel", "fault"),
            *("created_at", "updated_at", "finished_at", "deadline"),
        )
        read_only_fields = fields

    def get_action(self, action: Action) -> str:
        """Its name in the wire's action log."""
        return wire_name(action.operation)

    def get_fault(self, action: Action) -> dict[str, Any] | None:
        """What went wrong."""
        shown = ("code", "message", "step", "host") if self.context.get("is_admin") else ("code", "message")
        return {name: action.fault.get(name, "") for name in shown} if action.fault else None

    def get_cannot_cancel(self, action: Action) -> str | None:
        """What keeps it from being cancelled."""
        return why_not_cancellable(action)


class ActionsSerializer(serializers.Serializer):
    """Several, newest first."""

    actions = ActionSerializer(many=True)


class OneActionSerializer(serializers.Serializer):
    """One."""

    action = ActionSerializer()


class FenceRequestSerializer(serializers.Serializer):
    """What to do: run the host's fence command, or note that the caller made sure that the machine is off."""

    confirm = serializers.BooleanField(default=False)


class HostSerializer(serializers.ModelSerializer):
    """A compute host's standing. `fence_said`: what came of its fence command last."""

    class Meta:
        model = Host
        fields = ("name", "is_up", "is_fenced", "generation", "fence_asked_at", "fence_said")
        read_only_fields = fields


class OneHostSerializer(serializers.Serializer):
    """One."""

    host = HostSerializer()
