"""<metadata>: who made the domain, from which inputs, and for whom. "Made already" is read from here (rule R10)."""

from __future__ import annotations

from lxml import etree

from hypervisor.libvirt.xml.element import E, K, printable
from hypervisor.spec import GuestSpec, Maker


def metadata(guest: GuestSpec, maker: Maker) -> etree._Element:
    """The domain's metadata; `reading.read_mark` reads its attributes back."""
    return E.metadata(
        K.guest(
            K.name(printable(guest.display_name)),
            K.hostname(printable(guest.hostname)),
            K.project(guest.project_id),
            K.image(guest.image.id),
            *([K.rescue(guest.rescue.id)] if guest.rescue else []),
            instance=guest.instance_id,
            action=maker.action_id,
            digest=maker.digest,
        )
    )
