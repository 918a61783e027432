"""What may happen to a cloud, in any order, and what must hold after each of it and at the end."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.cache import cache
from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cloud.errors import Abort, CloudError, Reschedule, Retry
from cloud.workflow import sweeps
from cloud.workflow.models import Action, Host
from cloud.workflow.runner import cancel
from cloud.workflow.states import LIVE, ActionState
from instances import services
from instances.models import Instance
from instances.services.delete import delete_instance
from instances.states import PowerState, VmState
from tests.operations.cloud_in_a_box import Killed, Message
from tests.operations.deaths import CONDUCTOR_POINTS, HOST_POINTS, conductor_dies
from tests.operations.scenarios import World, _larger, rescue, soft_delete
from tests.properties.loose_cloud import Broken, LooseCloud

HOSTS = ("h1", "h2", "h3")
VERBS: tuple[Callable[..., Any], ...] = (
    services.stop_instance,
    services.start_instance,
    services.hard_reboot_instance,
    services.reboot_instance,
    services.pause_instance,
    services.unpause_instance,
    services.suspend_instance,
    services.resume_instance,
    rescue,
    services.unrescue_instance,
    services.migrate_instance,
    _larger,
    services.confirm_resize,
    services.revert_resize,
    services.live_migrate_instance,
    services.live_migrate_instance,  # it has the most steps, and the pivot in the middle
    services.evacuate_instance,
    partial(services.snapshot_instance, name="image"),
    services.shelve_instance,
    services.shelve_offload_instance,
    services.unshelve_instance,
    soft_delete,
    services.restore_instance,
)
ERRORS = (Abort, Retry, Reschedule)
_ROUNDS = 8  # that hosts and rows may need to agree after all is quiet

pick = st.integers(min_value=0, max_value=63)
host_name = st.sampled_from(HOSTS)


class EngineMachine(RuleBasedStateMachine):
    """One instance on a cloud of three hosts: everything that can go wrong does, whenever."""

    def __init__(self) -> None:
        super().__init__()
        forget_everything()
        self.directory = Path(tempfile.mkdtemp(prefix="kn-properties-"))
        self.box = LooseCloud(self.directory)
        self.box.drain()
        for name in HOSTS:
            self.box.add_host(name)
        self.world = World(self.box)
        self.started: list[str] = []  # verbs, for whoever reads a failure

    # --- verbs --------------------------------------------------------------------------------------------------------

    @initialize(is_there=st.sampled_from([True, True, False]))
    def boot(self, is_there: bool) -> None:
        """An instance that is ACTIVE, or on its way."""
        self.world.boot()
        if is_there:
            self.box.recover()
        self.box.direct = False
        self.box.pump()

    @rule(which=pick)
    @precondition(lambda self: not self.live())
    def begin(self, which: int) -> None:
        """Some verb that the instance's state allows."""
        for shift in range(len(VERBS)):
            verb = VERBS[(which + shift) % len(VERBS)]
            if self._begin(verb):
                return

    def _begin(self, verb: Callable[..., Any]) -> bool:
        try:
            with transaction.atomic():
                verb(caller=self.world.admin, instance=self.world.instance())
        except CloudError:
            return False
        self.started.append(getattr(verb, "__name__", "snapshot_instance"))
        self.box.pump()
        return True

    @rule()
    @precondition(lambda self: bool(self.live()))
    def cancel(self) -> None:
        """The user has second thoughts."""
        cancel(self.live()[0].pk)
        self.box.pump()

    @rule(sure=st.integers(min_value=0, max_value=2))
    def delete(self, sure: int) -> None:
        """A delete over whatever runs; not too often, for little can happen afterwards."""
        if not sure and self.world.instance().deleted_at is None:
            delete_instance(caller=self.world.tenant.caller, instance=self.world.instance())
            self.box.pump()

    # --- messages -----------------------------------------------------------------------------------------------------

    def deliverable(self) -> list[Message]:
        return [message for message in self.box.wire if self.box.can_be_delivered(message)]

    def _take(self, which: int) -> Message | None:
        left = self.deliverable()
        if not left:
            return None
        message = left[which % len(left)]
        self.box.wire.remove(message)
        return message

    def _deliver(self, message: Message, *, is_kept: bool) -> None:
        """To its process, which may die of it; then the message comes back, or is lost with it."""
        try:
            self.box.deliver(message)
        except Killed:
            if name := self.box.host_of(message):
                self.box.kill_worker(name)
            if is_kept:
                self.box.wire.append(message)
        finally:
            self.box.breakage, self.box.point = None, ""
        self.box.pump()

    @rule(how_many=st.integers(min_value=1, max_value=12))
    def go_on(self, how_many: int) -> None:
        """Nothing special: the next messages arrive in their order."""
        for _ in range(how_many):
            message = self._take(0)
            if message is None:
                return
            self._deliver(message, is_kept=False)

    @rule(which=pick)
    def deliver(self, which: int) -> None:
        """Any message arrives: others are delayed."""
        if (message := self._take(which)) is not None:
            self._deliver(message, is_kept=False)

    @rule(which=pick)
    def deliver_and_keep(self, which: int) -> None:
        """A message arrives, and will again."""
        if (message := self._take(which)) is not None:
            self.box.wire.append(message)
            self._deliver(message, is_kept=False)

    @rule(which=pick)
    def drop(self, which: int) -> None:
        """A message is lost."""
        self._take(which)

    @rule()
    @precondition(lambda self: len(self.box.wire) > 1)
    def empty_the_queues(self) -> None:
        """Redis is emptied."""
        self.box.wire.clear()

    # --- deaths and failures ------------------------------------------------------------------------------------------

    def _order(self, which: int) -> Message | None:
        orders = [m for m in self.deliverable() if self.box.host_of(m) and len(m.args) > 1]
        if not orders:
            return None
        message = orders[which % len(orders)]
        self.box.wire.remove(message)
        return message

    @rule(which=pick, point=st.sampled_from(HOST_POINTS), renewed=st.booleans(), is_kept=st.booleans())
    def worker_dies_at_a_step(self, which: int, point: str, renewed: bool, is_kept: bool) -> None:
        """kill -9 of a compute worker, with its lease renewed just before or not."""
        if (message := self._order(which)) is not None:
            self.box.point, self.box.renews = point, renewed
            self._deliver(message, is_kept=is_kept)

    @rule(which=pick, error=st.sampled_from(ERRORS), after=st.booleans())
    def step_fails(self, which: int, error: type[Exception], after: bool) -> None:
        """A step fails, before its effect or after it."""
        if (message := self._order(which)) is not None:
            self.box.breakage, self.box.breaks_after = partial(error, "broken on purpose"), after
            self._deliver(message, is_kept=False)

    @rule(which=pick, point=st.sampled_from(CONDUCTOR_POINTS), is_kept=st.booleans())
    def conductor_dies(self, which: int, point: str, is_kept: bool) -> None:
        """kill -9 of a conductor in the middle of a turn."""
        reports = [m for m in self.box.wire if not self.box.host_of(m)]
        if reports:
            message = reports[which % len(reports)]
            self.box.wire.remove(message)
            with conductor_dies(point):
                self._deliver(message, is_kept=is_kept)

    @rule(name=host_name)
    @precondition(lambda self: len(self.box.dead) < 2)
    def worker_dies(self, name: str) -> None:
        """kill -9 of a compute worker that does nothing."""
        self.box.kill_worker(name)

    @rule(name=host_name)
    def worker_starts(self, name: str) -> None:
        """A worker, dead or alive, is started anew."""
        if name not in self.box.off:
            self.box.start_worker(name)

    @rule(name=host_name)
    def journal_is_lost(self, name: str) -> None:
        """The disk with the journal is replaced."""
        if name not in self.box.off | self.box.dead:
            self.box.lose_journal(name)

    @rule(name=host_name)
    @precondition(lambda self: len(self.box.off) < 2)
    def power_is_lost(self, name: str) -> None:
        """A host goes down with all that runs on it, and is marked down."""
        if name not in self.box.off:
            self.box.power_off(name)
            self.box.pump()

    @rule(name=host_name)
    def power_is_back(self, name: str) -> None:
        """A host that was off begins anew."""
        if name in self.box.off:
            self.box.power_on(name)

    @rule(name=host_name)
    def host_is_taken_for_down(self, name: str) -> None:
        """Its heartbeats were late: it is marked down, and works on until it is told."""
        Host.objects.filter(name=name).update(is_up=False, hello="")

    # --- time ---------------------------------------------------------------------------------------------------------

    @rule(name=host_name)
    def host_keeps_in_touch(self, name: str) -> None:
        """A hello, a heartbeat, or the host enters on the answer to its hello."""
        if name not in self.box.off | self.box.dead:
            agent = self.box.agents[name]
            agent.look()
            agent._patience = 0.0
            agent.keep_in_touch()
            self.box.pump()

    @rule()
    def time_passes(self) -> None:
        """Every lease and wait runs out; the sweeps run."""
        self.box.expire()
        sweeps.run_all()
        self.box.pump()

    # --- what must hold -----------------------------------------------------------------------------------------------

    def live(self) -> list[Action]:
        return list(Action.objects.filter(state__in=LIVE, target_id=self.world.instance_id))

    @invariant()
    def all_is_sound(self) -> None:
        """What must hold at every moment."""
        if self.world.instance_id is None:
            return
        self._one_action_is_alive_if_the_instance_is_busy()
        self._the_guest_runs_once()
        self.world.assert_usage_equals_allocations()

    def _one_action_is_alive_if_the_instance_is_busy(self) -> None:
        live, task_state = self.live(), self.world.instance().task_state
        if len(live) > 1:
            raise Broken(f"alive at once: {live}")
        if task_state is not None and not live:
            raise Broken(f"task_state {task_state}, and no action is alive")

    def _the_guest_runs_once(self) -> None:
        """Hosts that are taken for down and are not off are not spoken of: rule R6 promises nothing of them."""
        running = []
        for host in Host.objects.filter(is_up=True).exclude(name__in=self.box.off):
            note = self.box.executors[host.name].driver.lifecycle.note(str(self.world.instance_id)) or {}  # type: ignore[attr-defined]
            if note.get("power_state") == PowerState.RUNNING and not note.get("is_coming"):
                running.append(host.name)
        if len(running) > 1:
            raise Broken(f"the guest runs on {running}")

    def teardown(self) -> None:
        """Everything is up again and time passes: every action ends, and hosts and rows agree."""
        try:
            if self.world.instance_id is not None:
                self._all_is_well_again()
        finally:
            self.box.drain()
            for executor in self.box.executors.values():
                executor.driver.close()
            shutil.rmtree(self.directory, ignore_errors=True)

    def _all_is_well_again(self) -> None:
        for name in sorted(self.box.off):
            self.box.power_on(name)
        for name in sorted(self.box.dead):
            self.box.start_worker(name)
        self.box.direct = True
        late, self.box.wire = self.box.wire, []
        for message in late:
            self.box.deliver(message)
        for at_most in reversed(range(_ROUNDS)):
            for name in HOSTS:
                self.box.beat(name)
            sweeps.run_all()
            self.box.recover()
            with contextlib.suppress(AssertionError) if at_most else contextlib.nullcontext():
                self._assert_settled()
                break
        states = set(Action.objects.values_list("state", flat=True))
        if not states <= {ActionState.SUCCEEDED, ActionState.FAILED, ActionState.CANCELLED}:
            raise Broken(f"ended as {states}")
        self._nothing_is_left_of_a_deleted_instance()

    def _assert_settled(self) -> None:
        instance = self.world.instance()
        if instance.deleted_at is None and instance.vm_state != VmState.ERROR:
            self.world.assert_consistent()
        elif not instance.host:
            self.world.assert_nothing_left(instance)

    def _nothing_is_left_of_a_deleted_instance(self) -> None:
        instance = self.world.instance()
        if instance.deleted_at is None:
            delete_instance(caller=self.world.tenant.caller, instance=instance)
            self.box.recover()
        for name in HOSTS:
            self.box.beat(name)
        instance = Instance.objects.get(pk=instance.pk)
        if instance.vm_state != VmState.DELETED:
            raise Broken(f"not deleted: {instance.vm_state}")
        self.world.assert_nothing_left(instance)


def forget_everything() -> None:
    """Empties every table of ours: each example is a cloud of its own."""
    cache.clear()
    random.seed(0)
    with transaction.atomic():
        for model in apps.get_models(include_auto_created=True):
            rows = model._default_manager.all()
            if model._meta.app_label not in ("contenttypes", "auth", "admin", "sessions") and rows.exists():
                rows._raw_delete(rows.db)
