"""The API's WSGI entry."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloud.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from cloud.logging import configure

configure("api", log_dir=settings.LOG_DIR, debug=settings.DEBUG)
application = get_wsgi_application()
