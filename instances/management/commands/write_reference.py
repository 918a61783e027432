"""`manage.py write_reference`: writes the pages of docs/reference that are made from the code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from instances.reference import operations_page


class Command(BaseCommand):
    """Writes `docs/reference/operations.md` of this checkout."""

    help = "Writes docs/reference/operations.md from the table of verbs and the operations."

    def handle(self, *args: Any, **options: Any) -> None:
        page = Path(settings.BASE_DIR) / "docs" / "reference" / "operations.md"
        page.parent.mkdir(exist_ok=True)
        page.write_text(operations_page())
        self.stdout.write(f"wrote {page}")
