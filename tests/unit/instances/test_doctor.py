"""The doctor's codes: their table in the documentation, and that each is made by hand in a test."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from instances.doctor.families import CODES
from instances.doctor.finding import Code, Finding
from instances.doctor.reference import codes_table

TESTS = Path(settings.BASE_DIR) / "tests"


def test_the_table_in_the_documentation_is_the_codes() -> None:
    page = Path(settings.BASE_DIR) / "docs" / "how-to" / "doctor.md"
    assert codes_table() in page.read_text(), "run `manage.py write_reference`"


def test_codes_are_named_once() -> None:
    assert len({code.name for code in CODES}) == len(CODES)


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_some_test_makes_each_kind_of_damage(code: Code) -> None:
    places = [*TESTS.glob("operations/test_doctor*.py"), *TESTS.glob("contract/test_doctor*.py")]
    assert any(f'"{code.name}"' in path.read_text() for path in places)


def test_a_finding_has_a_fix_exactly_when_its_code_is_safe() -> None:
    code = Code(name="a.b", finds="", danger="", repair="", is_safe=True)
    with pytest.raises(ValueError, match="safe"):
        Finding(code=code, objects={}, detail="")
