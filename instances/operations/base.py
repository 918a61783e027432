"""What every operation on an instance shares: how its state settles, and what its hosts are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django.utils import timezone

from cloud.api.policy import Caller, require_admin, require_member
from cloud.workflow.models import Action
from cloud.workflow.operation import Operation, Step, StepContext
from cloud.workflow.states import LIVE
from hypervisor.spec import encode
from hypervisor.steps import Role
from instances.guest_spec import guest_spec
from instances.models import Fault, Instance
from instances.services.lock import check_lock
from instances.states import OWN_VERBS, VERBS, VerbRule, seen_as
from instances.steps.row import instance_of
from instances.unfinished_moves import moves_that_are_over
from scheduling import claims


class InstanceOperation(Operation):
    """A verb on one instance. Its row in the table of `instances/states.py` says from where it may start, what the
    instance becomes, and what it falls back to."""

    verb: ClassVar[str] = ""  # its row in the table, when two rows share one action name on the wire
    rule: ClassVar[VerbRule]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if ("action" in cls.__dict__ or "verb" in cls.__dict__) and "rule" not in cls.__dict__:
            cls.rule = VERBS[cls.verb or cls.action]

    def hosts(self, role: Role, context: StepContext) -> tuple[str, ...]:
        """The host that the instance was claimed on, or is on."""
        claimed = context.outputs.get("claim_resources")
        if claimed:
            return (claimed["host"],)
        host = instance_of(context).host
        return (host,) if host else ()

    def inputs(self, context: StepContext) -> dict[str, Any]:
        """The guest, complete."""
        return {"guest": encode(guest_spec(instance_of(context), url_expires_at=context.action.deadline))}

    def check_caller(self, caller: Caller, action: Action) -> None:
        """Who may use the verb on the instance may steer its action; what the cloud does by itself is an admin's."""
        rule = self.rule
        is_for_admins = rule.is_for_admins or rule.verb in OWN_VERBS
        (require_admin if is_for_admins else require_member)(caller, f"steering the action '{action.operation}'")
        instance = Instance.objects.filter(pk=action.target_id).first()
        if instance is not None:
            check_lock(caller, instance, rule)

    def retried(self, context: StepContext) -> None:
        """The instance is busy with the verb again."""
        Instance.objects.filter(pk=context.target_id).update(task_state=self.rule.task_state, updated_at=timezone.now())

    def succeeded(self, context: StepContext) -> None:
        """The instance is what the verb promises, its power_state what the last step saw, and idle."""
        changes: dict[str, Any] = {}
        if self.rule.becomes is not None:
            changes["vm_state"] = self.rule.becomes
        power_state = self.seen_power_state(context.outputs, reversed(self.sequence))
        if power_state is not None:
            changes["power_state"] = power_state
        self.settle(context, **changes)

    def failed(self, context: StepContext, fault: dict[str, Any]) -> None:
        """The instance falls back, idle, with a fault that names the cause. One that falls back to what it was is what
        its guest was seen as after the last undo."""
        changes: dict[str, Any] = {}
        power_state = self.seen_power_state(context.undone, self.sequence)  # the first step is undone last
        if power_state is not None:
            changes["power_state"] = power_state
        if self.rule.falls_back_to is not None:
            changes["vm_state"] = self.rule.falls_back_to
        elif power_state:
            changes["vm_state"] = seen_as(instance_of(context).vm_state, power_state)
        self.settle(context, **changes)
        self.record_fault(context, fault)

    @staticmethod
    def seen_power_state(outputs: dict[str, Any], steps: Iterable[Step]) -> int | None:
        """The power_state that the first of `steps` returned that looked; None when none did."""
        for step in steps:
            output = outputs.get(step.name)
            if isinstance(output, dict) and "power_state" in output:
                return int(output["power_state"])
        return None

    def debt_paid(self, context: StepContext, host: str) -> None:
        """The room there is free, unless the instance came back to that host meanwhile."""
        live = Action.objects.filter(target_id=context.target_id, state__in=LIVE, events__host=host)
        here = Instance.objects.filter(pk=context.target_id, host=host, deleted_at=None)
        if not live.exclude(pk=context.action.pk).exists() and not here.exists():
            for consumer in (context.target_id, *moves_that_are_over(context.target_id)):
                claims.release(consumer, host)

    def settle(self, context: StepContext, **changes: Any) -> None:
        """One UPDATE of the instance; task_state ends."""
        Instance.objects.filter(pk=context.target_id).update(task_state=None, updated_at=timezone.now(), **changes)

    def record_fault(self, context: StepContext, fault: dict[str, Any]) -> None:
        """The fault that `server show` gives: the message, and which step on which host it came from."""
        host = fault.get("host")
        where = f"{fault.get('step')} on {host}" if host else fault.get("step") or ""
        Fault.objects.create(
            instance_id=context.target_id,
            code=int((fault.get("context") or {}).get("status", 500)),
            message=str(fault.get("message") or "The operation failed.")[:255],
            details=_details(fault, where),
        )


def _details(fault: dict[str, Any], where: str) -> str:
    lines = [f"{fault.get('code', '')} {where}".strip(), str(fault.get("message", ""))]
    for row in (fault.get("context") or {}).get("hosts", ()):
        lines.append(f"{row.get('host')}: {row.get('filter')}: {row.get('reason')}")
    return "\n".join(lines)
