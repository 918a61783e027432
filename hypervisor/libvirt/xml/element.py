"""How elements are written: children in order, attributes in order, two spaces a level, no declaration."""

from __future__ import annotations

from lxml import etree
from lxml.builder import E, ElementMaker

KILONOVA = "https://kilonova.dev/xmlns/guest/1"
K = ElementMaker(namespace=KILONOVA, nsmap={"kilonova": KILONOVA})

__all__ = ["KILONOVA", "E", "K", "printable", "render"]


def render(element: etree._Element) -> str:
    """The element as text."""
    return etree.tostring(element, pretty_print=True, encoding="unicode")


def printable(text: str) -> str:
    """`text` without what XML 1.0 or libvirt's titles cannot hold (control characters, line ends, lone surrogates)."""
    return "".join(character for character in text if character.isprintable())
