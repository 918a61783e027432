"""Settings of the tests: SQLite in a temporary file, or the PostgreSQL named by `TEST_DATABASE_URL`."""

import atexit
import os
import shutil
import tempfile

_scratch = tempfile.mkdtemp(prefix="kilonova-tests-")
os.mkdir(os.path.join(_scratch, "static"))  # or whitenoise warns at each request
atexit.register(shutil.rmtree, _scratch, ignore_errors=True)
os.environ["KILONOVA_ENV_FILE"] = os.path.join(_scratch, "none.env")
os.environ.update(
    SECRET_KEY="tests-only-secret-key",
    HOST_KEYS_SECRET="tests-only-host-keys-secret",
    KILONOVA_STATE_DIR=_scratch,
    DATABASE_URL=os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{_scratch}/tests.db",
    BROKER_URL=os.environ.get("TEST_BROKER_URL") or "memory://",
    LOG_DIR="",
)

from cloud.settings import *  # noqa: E402, F403
from cloud.settings import DATABASES  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["TEST"] = {"NAME": f"{_scratch}/tests.db"}  # a file: threads must see one another's writes
DATABASES["default"]["CONN_MAX_AGE"] = 0
SHELVED_OFFLOAD_TIME = -1.0  # tests that look at shelved instances say when they are to leave their hosts
