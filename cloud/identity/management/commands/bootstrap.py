"""`manage.py bootstrap`: the first domain, roles, project and admin of a cloud."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cloud.errors import CloudError
from cloud.identity.bootstrap import bootstrap


class Command(BaseCommand):
    """Makes what is missing; the admin's password comes from the environment, so that no process list shows it."""

    help = "Make the default domain, the roles, the project admin and the user admin (password: ADMIN_PASSWORD)."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            is_new = bootstrap(admin_password=os.environ.get("ADMIN_PASSWORD"))
        except CloudError as error:
            raise CommandError(error.message) from None
        self.stdout.write("identity: the admin was created" if is_new else "identity: the admin is there")
