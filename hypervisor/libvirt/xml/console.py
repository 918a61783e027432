"""The guest's ways out: serial console with its log, VNC screen, channel of the guest agent."""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from hypervisor.libvirt.xml.element import E

_LISTEN = "127.0.0.1"


def serial(log: Path) -> etree._Element:
    """ttyS0; virtlogd keeps what the guest writes, over restarts of the guest."""
    return E.serial(E.log(file=str(log), append="on"), E.target(type="isa-serial", port="0"), type="pty")


def console() -> etree._Element:
    """The same device under the name by which `virsh console` finds it."""
    return E.console(E.target(type="serial", port="0"), type="pty")


def screen() -> list[etree._Element]:
    """VNC on loopback: whoever is let in comes through the console proxy."""
    return [
        E.graphics(E.listen(type="address", address=_LISTEN), type="vnc", port="-1", autoport="yes"),
        E.video(E.model(type="vga", vram="16384", heads="1")),
    ]


def guest_agent() -> etree._Element:
    """The channel that qemu-guest-agent listens on, if the image has it."""
    return E.channel(E.source(mode="bind"), E.target(type="virtio", name="org.qemu.guest_agent.0"), type="unix")
