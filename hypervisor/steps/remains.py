"""Steps of the doctor: what nobody owns goes from a host, and a guest that is missing comes back.

The conductors found what is meant by comparing; the host looks again and does only what is named.
"""

from __future__ import annotations

from typing import Any

from hypervisor.steps.declare import Role, StepHost, host_step
from hypervisor.steps.power import power_state_of


@host_step(Role.EVERY, no_undo="it goes forward only: nobody owns what it removes", owed=True)
def clear_remains(step: StepHost) -> None:
    """After it what the input `remains` names of the target is gone from this host: its `domain`, its DHCP entries of
    `ports`, the directories to `remove`; those to `set_aside` are out of sight. Without any of these an interrupted
    step is settled: that comes before every step."""
    remains = step.inputs["remains"]
    driver = step.driver
    if remains.get("domain"):
        driver.lifecycle.settle(step.target_id)
        driver.lifecycle.remove(step.target_id, None)
    ports = set(remains.get("ports", ()))
    if ports:
        plugged = [nic for nic in driver.interfaces.plugged(step.target_id) if nic.port_id in ports]
        driver.interfaces.unplug(step.target_id, tuple(plugged), None)
    for name in remains.get("set_aside", ()):
        driver.holdings.set_aside(name)
    for name in remains.get("remove", ()):
        driver.holdings.remove_directory(name)


@host_step(Role.EVERY, no_undo="it goes forward only: nobody knows what it removes")
def clear_cache(step: StepHost) -> dict[str, Any]:
    """After it the base image `base` is gone, if still nothing asked for it since `used_at` and no disk stands on it;
    DHCP has no entry or lease of `entry`, [network, MAC, address], if no port has that MAC; and the `network` is not
    here, if it has no port."""
    output: dict[str, Any] = {}
    if step.inputs.get("base"):
        output["is_removed"] = step.driver.holdings.remove_base(step.inputs["base"], float(step.inputs["used_at"]))
    if step.inputs.get("entry"):
        network_id, mac, ip = step.inputs["entry"]
        step.driver.holdings.forget_entry(network_id, mac, ip)
    if step.inputs.get("network"):
        output["is_removed"] = step.driver.holdings.forget_network(step.inputs["network"])
    return output


def remove_restored_guest(step: StepHost) -> None:
    """After it no domain that this action made is left on the host."""
    step.driver.lifecycle.remove(step.target_id, step.maker)


@host_step(undo=remove_restored_guest)
def restore_guest(step: StepHost) -> dict[str, Any]:
    """After it the guest is there again, made from its spec, and runs if it is to (input `runs`). One that another
    action made meanwhile is left as it is."""
    lifecycle = step.driver.lifecycle
    found = lifecycle.state(step.target_id)
    if found is None or found.action_id == step.maker.action_id:
        if step.inputs["runs"]:
            lifecycle.start(step.the_guest(), step.maker, step.progress)
        else:
            lifecycle.define(step.the_guest(), step.maker, step.progress)
    return power_state_of(step)
