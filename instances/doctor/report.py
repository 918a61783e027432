"""What the doctor says: JSON whose keys stay, and a paragraph for each finding."""

from __future__ import annotations

from typing import Any

from instances.doctor.examination import Examination
from instances.doctor.finding import Finding
from instances.doctor.hosts import HostState
from instances.doctor.repair import Repairs


def as_json(examination: Examination, repairs: Repairs) -> dict[str, Any]:
    """`findings`, `hosts`, `checked_at`."""
    return {
        "findings": [_finding(finding, repairs) for finding in examination.findings],
        "hosts": [{"name": name, "state": str(state)} for name, state in sorted(examination.hosts.items())],
        "checked_at": examination.checked_at.isoformat(),
    }


def _finding(finding: Finding, repairs: Repairs) -> dict[str, Any]:
    return {
        "code": finding.code.name,
        "objects": dict(finding.objects),
        "danger": finding.danger,
        "repair": finding.code.repair,
        "is_safe": finding.code.is_safe,
        "fixed": finding.key in repairs.fixed,
        "left_because": repairs.left.get(finding.key, ""),
    }


def as_text(examination: Examination, repairs: Repairs, *, fixing: bool) -> str:
    """A paragraph for each finding, and a line at the end."""
    paragraphs = [_paragraph(finding, repairs, fixing) for finding in examination.findings]
    return "\n\n".join([*paragraphs, _summary(examination, repairs)])


def _paragraph(finding: Finding, repairs: Repairs, fixing: bool) -> str:
    objects = " ".join(f"{name}={value}" for name, value in finding.objects.items() if value)
    lines = [f"{finding.code.name}  {objects}", f"  {finding.danger}"]
    if finding.key in repairs.fixed:
        lines.append(f"  Repaired: {finding.code.repair}")
    elif finding.key in repairs.left:
        lines += [f"  Left: {repairs.left[finding.key]}.".replace("..", "."), f"  To do: {finding.code.repair}"]
    else:
        how = "With --fix" if finding.code.is_safe and not fixing else "By hand"
        lines.append(f"  {how}: {finding.code.repair}")
    return "\n".join(lines)


def _summary(examination: Examination, repairs: Repairs) -> str:
    answered = sum(state == HostState.ANSWERED for state in examination.hosts.values())
    asked = f"{answered} of {len(examination.hosts)} hosts looked at"
    found = len(examination.findings)
    if not found:
        return f"Nothing is wrong; {asked}."
    return f"{found} found, {len(repairs.fixed)} repaired, {found - len(repairs.fixed)} left; {asked}."


def is_anything_left(examination: Examination, repairs: Repairs) -> bool:
    """A finding that is not repaired."""
    return any(finding.key not in repairs.fixed for finding in examination.findings)
