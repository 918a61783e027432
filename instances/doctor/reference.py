"""The table of codes in `docs/how-to/doctor.md`, as the families declare them."""

from __future__ import annotations

from typing import Final

from instances.doctor.families import CODES

BEGIN: Final = "<!-- made by `./kilonova manage write_reference`; a test compares -->\n"
END: Final = "<!-- end -->\n"


def codes_table() -> str:
    """The table, in Markdown."""
    rows = "".join(
        f"| `{code.name}` | {code.finds} | {code.danger} | {'yes' if code.is_safe else ''} | {code.repair} |\n"
        for code in CODES
    )
    return f"{BEGIN}| code | what | danger | `--fix` | repair |\n|---|---|---|---|---|\n{rows}{END}"


def with_table(page: str) -> str:
    """The page with its table as the code has it."""
    before, rest = page.split(BEGIN)
    return before + codes_table() + rest.split(END)[1]
