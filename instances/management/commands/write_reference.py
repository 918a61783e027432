"""`manage.py write_reference`: writes what is made from the code in docs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from instances.doctor.reference import with_table
from instances.reference import operations_page


class Command(BaseCommand):
    """Writes `docs/reference/operations.md` of this checkout, and the table in `docs/how-to/doctor.md`."""

    help = "Writes docs/reference/operations.md, and the table of codes in docs/how-to/doctor.md, from the code."

    def handle(self, *args: Any, **options: Any) -> None:
        page = Path(settings.BASE_DIR) / "docs" / "reference" / "operations.md"
        page.parent.mkdir(exist_ok=True)
        page.write_text(operations_page())
        self.stdout.write(f"wrote {page}")
        page = Path(settings.BASE_DIR) / "docs" / "how-to" / "doctor.md"
        page.write_text(with_table(page.read_text()))
        self.stdout.write(f"wrote {page}")
