"""Steps of a guest that leaves one host (SOURCE) and arrives at another (HOST), or at the same one with another flavor.

The guest is off in between. What it was stays aside at the host that it left, under the id of the action that moved it,
until a later action puts it back or discards it. Inputs: `guest` as it arrives and `leaving` as it leaves (specs);
`was_on`: whether it ran before; `runs`: whether it is to run; `source` and `destination`: host names; `peer`: the
name of the source, "" when its storage is the destination's own; `aside_of`: the action that set aside what is put
back, or discarded unless `discards_of` names another one. Each undo stands above its step.
"""

from __future__ import annotations

from typing import Any

from hypervisor.driver import BaseImage
from hypervisor.moves import AsideDisk, DiskOrigin
from hypervisor.spec import GuestSpec, decode, encode
from hypervisor.steps.declare import Role, StepHost, host_step
from hypervisor.steps.power import power_state_of

_RUNNING = 1


def _leaving(step: StepHost) -> GuestSpec:
    return decode(GuestSpec, step.inputs["leaving"])


def _stays(step: StepHost) -> bool:
    """Whether both sides are one host: what belongs to the host and not to the guest is then left alone."""
    return bool(step.inputs["source"] == step.inputs["destination"])


# --- before anything is touched ---------------------------------------------------------------------------------------


@host_step(Role.SOURCE, no_undo="it reads only")
def describe_disk(step: StepHost) -> dict[str, Any]:
    """What the disk is and stands on, so that the destination can be made ready while the guest still runs."""
    return encode(step.driver.moves.describe(step.target_id))


@host_step(no_undo="the cache of base images is shared; what nobody uses is pruned", cancellable=True)
def bring_base(step: StepHost) -> dict[str, Any]:
    """After it the base that the disk stands on is in the cache here, from the catalogue or else from the source."""
    origin = decode(DiskOrigin, step.outputs["describe_disk"])
    image, peer = step.the_guest().image, step.inputs["base_peer"]
    base = step.driver.moves.bring_base(image, origin, peer, step.progress)
    return {"base": encode(base) if base else None}


@host_step(no_undo="it reads only")
def check_kept_disk(step: StepHost) -> None:
    """What the guest is to come back to is here. Raises DiskLost when it is not."""
    step.driver.moves.check_aside(step.target_id, step.inputs["aside_of"])


# --- leaving ----------------------------------------------------------------------------------------------------------


def run_leaving_again(step: StepHost) -> dict[str, Any]:
    """After it the guest runs here if it ran before the action; one that was never stopped is not touched."""
    if step.inputs["was_on"] and power_state_of(step)["power_state"] != _RUNNING:
        step.driver.lifecycle.start(_leaving(step), step.maker, step.progress, replaces=True)
    return power_state_of(step)


@host_step(Role.SOURCE, undo=run_leaving_again)
def stop_leaving(step: StepHost) -> None:
    """After it the guest is off: asked first, and ended when it does not go by itself in `stop_seconds` (an input)."""
    step.driver.lifecycle.stop(step.target_id, float(step.inputs["stop_seconds"]), step.progress)


def plug_leaving_again(step: StepHost) -> None:
    """After it the guest's networks and DHCP entries are here again."""
    if not _stays(step):
        step.driver.interfaces.plug(_leaving(step), step.maker, step.progress)


@host_step(Role.SOURCE, undo=plug_leaving_again)
def unplug_leaving(step: StepHost) -> None:
    """After it this host answers no more for the guest's ports."""
    if not _stays(step):
        step.driver.interfaces.unplug(step.target_id, _leaving(step).nics, None)


def put_back_leaving(step: StepHost) -> None:
    """After it the guest has its disk again and is defined, as it was before the action; one that was never stopped is
    not touched."""
    step.driver.moves.put_back(step.target_id, step.maker.action_id)
    if power_state_of(step)["power_state"] != _RUNNING:
        step.driver.lifecycle.define(_leaving(step), step.maker, step.progress)


@host_step(Role.SOURCE, undo=put_back_leaving)
def set_disk_aside(step: StepHost) -> dict[str, Any]:
    """After it no guest of that id is defined here, so that none can start, and its files are kept by this action."""
    step.driver.lifecycle.remove(step.target_id, None)
    kept = step.driver.moves.set_aside(
        step.target_id, step.maker.action_id, hashes=bool(step.inputs["peer"]), progress=step.progress
    )
    return encode(kept)


# --- arriving ---------------------------------------------------------------------------------------------------------


def delete_brought_disk(step: StepHost) -> None:
    """After it nothing is left of the files that this action made here."""
    if not step.keeps_files:
        step.driver.disks.delete(step.target_id, step.maker)


@host_step(undo=delete_brought_disk, cancellable=True)
def bring_disk(step: StepHost) -> None:
    """After it the disk that was set aside is here too, verified and as large as the flavor says."""
    aside = decode(AsideDisk, step.outputs["set_disk_aside"])
    found = step.outputs["bring_base"]["base"]
    base = BaseImage(**found) if found else None
    step.driver.moves.bring_disk(step.the_guest(), aside, base, step.inputs["peer"], step.maker, step.progress)


def keep_disk_again(step: StepHost) -> None:
    """After it what was put back is kept by the earlier action again."""
    step.driver.moves.set_aside(step.target_id, step.inputs["aside_of"], hashes=False, progress=step.progress)


@host_step(undo=keep_disk_again)
def put_disk_back(step: StepHost) -> None:
    """After it the files that an earlier action set aside are the instance's again, as they were then."""
    if not step.driver.moves.put_back(step.target_id, step.inputs["aside_of"]):
        step.driver.moves.describe(step.target_id)  # it was put back already, or DiskLost


def unplug_arriving(step: StepHost) -> None:
    """After it no DHCP entry that this action made is left here."""
    if not _stays(step):
        step.driver.interfaces.unplug(step.target_id, step.the_guest().nics, step.maker)


@host_step(undo=unplug_arriving)
def plug_arriving(step: StepHost) -> None:
    """After it the guest's networks run here, and DHCP gives each of its ports exactly its address."""
    step.driver.interfaces.plug(step.the_guest(), step.maker, step.progress)


def remove_arrived(step: StepHost) -> None:
    """After it no domain that this action made is left here."""
    step.driver.lifecycle.remove(step.target_id, step.maker)


@host_step(undo=remove_arrived)
def run_arriving(step: StepHost) -> dict[str, Any]:
    """After it the guest is defined here, and runs if it is to run (input `runs`)."""
    if step.inputs["runs"]:
        step.driver.lifecycle.start(step.the_guest(), step.maker, step.progress, replaces=True)
    else:
        step.driver.lifecycle.define(step.the_guest(), step.maker, step.progress)
    return power_state_of(step)


# --- when there is no way back any more -------------------------------------------------------------------------------


@host_step(Role.SOURCE, no_undo="the move is confirmed or taken back: nobody returns to what was kept", owed=True)
def discard_kept(step: StepHost) -> None:
    """After it nothing of what an earlier action kept is here; and at a host that the guest has left, nothing of it."""
    if not _stays(step):
        step.driver.lifecycle.remove(step.target_id, None)
        step.driver.interfaces.unplug(step.target_id, _leaving(step).nics, None)
    step.driver.moves.discard(step.target_id, step.inputs.get("discards_of") or step.inputs["aside_of"])
