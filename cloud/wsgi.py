"""The API's WSGI entry."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloud.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from cloud import broker
from cloud.celery import app
from cloud.logging import configure

broker.publish_in_a_hurry(app)
configure("api", log_dir=settings.LOG_DIR, debug=settings.DEBUG)
application = get_wsgi_application()
