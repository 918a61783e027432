"""Files of `NAME=value` lines, as django-environ reads them.

A value runs to the end of its line, may stand in single or double quotes, and is taken literally otherwise.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from cloud.embedded.trouble import Trouble

ASSIGNMENT = re.compile(r"\A(?:export )?([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z")
ESCAPED = re.compile(r"\\(.)")
DOCUMENTED = re.compile(r"\A# ?([A-Z][A-Z0-9_]*)=")


def parse(lines: Iterable[str]) -> dict[str, str]:
    """The assignments among the lines, in their order; comments and all else are skipped."""
    values = {}
    for line in lines:
        match = ASSIGNMENT.match(line.strip())
        if match:
            name, value = match.groups()
            if len(value) >= 2 and value[0] == value[-1] == "'":
                value = value[1:-1]
            elif len(value) >= 2 and value[0] == value[-1] == '"':
                value = ESCAPED.sub(_unescape, value[1:-1])
            values[name] = value
    return values


def _unescape(match: re.Match[str]) -> str:
    # As django-environ: these three keep their backslash.
    return match.group(0) if match.group(1) in "rnt" else match.group(1)


def read(path: Path) -> dict[str, str]:
    """The assignments of a file; none when it is not there."""
    try:
        return parse(path.read_text().splitlines())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Trouble(f"cannot read {path}: {error.strerror}") from error


def render(values: Mapping[str, str]) -> str:
    """Lines that `parse` and django-environ read back unchanged."""
    lines = []
    for name, value in values.items():
        if "\n" in value or "\r" in value:
            raise Trouble(f"the setting {name} has a line break in its value; a value is one line")
        if value != value.strip() or value[:1] in {"'", '"'}:
            value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        lines.append(f"{name}={value}\n")
    return "".join(lines)


def write_private(path: Path, text: str) -> None:
    """Writes the file whole or not at all, mode 0600 from its first byte on."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)


def documented_names(example: Path) -> frozenset[str]:
    """The names that `.env.example` documents: the ones that are taken from the environment."""
    matches = (DOCUMENTED.match(line) for line in example.read_text().splitlines())
    return frozenset(match.group(1) for match in matches if match)
