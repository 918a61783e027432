"""Settings of the API, the conductors and beat, from the environment and an `.env` file (django-environ).

Compute workers do not read this module: theirs are in `hypervisor/config.py`. `.env.example` documents every name.
"""

from __future__ import annotations

import os
from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
_dotenv = Path(os.environ.get("KILONOVA_ENV_FILE", BASE_DIR / ".env"))
if _dotenv.is_file():
    environ.Env.read_env(_dotenv)

STATE_DIR = Path(env.str("KILONOVA_STATE_DIR", default="/var/lib/kilonova"))
SECRET_KEY = env.str("SECRET_KEY")
HOST_KEYS_SECRET = env.str("HOST_KEYS_SECRET")  # the key of every compute host is derived from it
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- where things are -------------------------------------------------------------------------------------------------
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8774").rstrip("/")
REGION = env.str("REGION", default="RegionOne")
IMAGES_DIR = Path(env.str("IMAGES_DIR", default=str(STATE_DIR / "images")))
IMAGES_URL = env.str("IMAGES_URL", default=PUBLIC_URL).rstrip("/")  # as compute hosts reach it
FLOWER_URL = env.str("FLOWER_URL", default="")
TLS_DIR = Path(env.str("TLS_DIR", default=str(STATE_DIR / "tls")))  # the cloud's own certificate authority, if any
HOST_SETTINGS_DIR = STATE_DIR / "hosts"  # what enroll_host writes for each host

# --- Django -----------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "cloud.workflow",
    "cloud.identity",
    "cloud.images",
    "cloud.networks",
    "scheduling",
    "instances",
]
MIDDLEWARE = [
    "cloud.api.middleware.RequestContext",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "cloud.urls"
WSGI_APPLICATION = "cloud.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(STATE_DIR / "static")))
WHITENOISE_USE_FINDERS = True
AUTH_USER_MODEL = "identity.User"
AUTHENTICATION_BACKENDS = ["cloud.identity.backends.DefaultDomainBackend"]
SILENCED_SYSTEM_CHECKS = ["auth.W004"]  # a user name is unique in its domain; the backend looks in the default one
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = False
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")

DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{STATE_DIR}/kilonova.db")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
elif DATABASES["default"]["ENGINE"].endswith("postgresql"):
    # A server that takes connections and does not answer must not hold a request, or a conductor, for minutes.
    limits = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
    DATABASES["default"].setdefault("OPTIONS", {}).update({**limits, **DATABASES["default"].get("OPTIONS", {})})
DATABASES["default"]["CONN_MAX_AGE"] = None
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["cloud.identity.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "EXCEPTION_HANDLER": "cloud.api.errors.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Kilonova",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "PREPROCESSING_HOOKS": ["cloud.api.openapi.own_endpoints"],
}

# --- identity ---------------------------------------------------------------------------------------------------------
TOKEN_HOURS = env.int("TOKEN_HOURS", default=12)

# --- the engine (ENGINE defaults; times in seconds) -------------------------------------------------------------------
BROKER_URL = env.str("BROKER_URL", default="redis://127.0.0.1:6379/0")
BROKER_CA_FILE = env.str("BROKER_CA_FILE", default="")  # by which a rediss:// broker is verified
BROKER_ADMIN_URL = env.str("BROKER_ADMIN_URL", default=BROKER_URL)  # the login that may make users, for enroll_host
HOSTS_BROKER_URL = env.str("HOSTS_BROKER_URL", default=BROKER_URL)  # as compute hosts reach it; its login is not theirs
HEARTBEAT_INTERVAL = env.float("HEARTBEAT_INTERVAL", default=10.0)
DOWN_AFTER = env.float("DOWN_AFTER", default=60.0)
LEASE = env.float("LEASE", default=15.0)
SWEEP_INTERVAL = env.float("SWEEP_INTERVAL", default=5.0)
STEP_ATTEMPTS = env.int("STEP_ATTEMPTS", default=3)
ACTION_DEADLINE = env.float("ACTION_DEADLINE", default=3600.0)
FENCE_TIMEOUT = env.float("FENCE_TIMEOUT", default=60.0)  # of a host's fence command
FENCE_AUTOMATICALLY = env.bool("FENCE_AUTOMATICALLY", default=False)  # as soon as a host is marked down
ACTION_RETENTION_DAYS = env.int("ACTION_RETENTION_DAYS", default=90)
WORKFLOW_OPERATIONS = ["instances.operations.OPERATIONS", "cloud.networks.operations.OPERATIONS"]
WORKFLOW_SWEEPS = [
    "cloud.workflow.sweeps.SWEEPS",
    "cloud.identity.sweeps.SWEEPS",
    "cloud.images.sweeps.SWEEPS",
    "cloud.networks.sweeps.SWEEPS",
    "scheduling.sweeps.SWEEPS",
    "instances.sweeps.SWEEPS",
]
WORKFLOW_HEARTBEAT_OBSERVERS = ["scheduling.inventory.observe", "instances.power_states.observe_heartbeat"]
WORKFLOW_GUEST_OBSERVERS = ["instances.power_states.observe_event"]
WORKFLOW_OWNED_GUESTS = ["instances.ownership.owned_guests"]
WORKFLOW_KEPT_FILES = ["instances.left_disks.disks_to_keep"]
WORKFLOW_FILES_OF_OTHERS = ["instances.left_disks.disks_of_others"]

# --- images -----------------------------------------------------------------------------------------------------------
IMAGE_MAX_BYTES = env.int("IMAGE_MAX_BYTES", default=64 * 1024**3)
IMAGE_RETENTION_DAYS = env.int("IMAGE_RETENTION_DAYS", default=30)
IMAGE_UPLOAD_STALL_SECONDS = env.int("IMAGE_UPLOAD_STALL_SECONDS", default=7200)

# --- networks ---------------------------------------------------------------------------------------------------------
NETWORK_MTU = env.int("NETWORK_MTU", default=1450)
NETWORKS_MAY_OVERLAP = env.bool("NETWORKS_MAY_OVERLAP", default=False)
NETWORK_HOST_ADDRESSES = "scheduling.selectors.host_addresses"  # where this room learns the addresses of hosts

# --- scheduling -------------------------------------------------------------------------------------------------------
RAM_ALLOCATION_RATIO = env.float("RAM_ALLOCATION_RATIO", default=1.5)
DISK_ALLOCATION_RATIO = env.float("DISK_ALLOCATION_RATIO", default=1.0)
CPU_ALLOCATION_RATIO = env.float("CPU_ALLOCATION_RATIO", default=16.0)
RESERVED_HOST_MEMORY_MIB = env.int("RESERVED_HOST_MEMORY_MIB", default=512)
DEFAULT_AVAILABILITY_ZONE = env.str("DEFAULT_AVAILABILITY_ZONE", default="nova")
# Names of ours, or dotted paths. An unknown one refuses to start.
SCHEDULER_DEFAULT_FILTERS = env.list(
    "SCHEDULER_DEFAULT_FILTERS", default=["retry", "availability_zone", "ram", "disk", "vcpu", "compute"]
)
SCHEDULER_AVAILABLE_FILTERS = env.list("SCHEDULER_AVAILABLE_FILTERS", default=[]) or SCHEDULER_DEFAULT_FILTERS
SCHEDULER_WEIGHERS = env.list("SCHEDULER_WEIGHERS", default=["ram"])
SCHEDULER_SUBSET_SIZE = env.int("SCHEDULER_SUBSET_SIZE", default=1)
RAM_WEIGHT_MULTIPLIER = env.float("RAM_WEIGHT_MULTIPLIER", default=1.0)

# --- instances --------------------------------------------------------------------------------------------------------
INSTANCE_RETENTION_DAYS = env.int("INSTANCE_RETENTION_DAYS", default=30)
SHUTDOWN_TIMEOUT = env.float("SHUTDOWN_TIMEOUT", default=60.0)  # of guests whose image has no os_shutdown_timeout
RECLAIM_INSTANCE_INTERVAL = env.float("RECLAIM_INSTANCE_INTERVAL", default=0.0)  # seconds; 0: a delete is for good
SOFT_REBOOT_TIMEOUT = env.float("SOFT_REBOOT_TIMEOUT", default=120.0)  # seconds; then a reboot is a hard one
RESUME_GUESTS_ON_HOST_BOOT = env.bool("RESUME_GUESTS_ON_HOST_BOOT", default=True)
UNEXPECTED_GUEST_POLICY = env.str("UNEXPECTED_GUEST_POLICY", default="stop")  # stop | adopt | ignore
# Seconds after which a shelved instance leaves its host; 0: at once, −1: never (an admin may do it any time).
SHELVED_OFFLOAD_TIME = env.float("SHELVED_OFFLOAD_TIME", default=0.0)
ALLOW_RESIZE_TO_SAME_HOST = env.bool("ALLOW_RESIZE_TO_SAME_HOST", default=True)
RESIZE_CONFIRM_WINDOW = env.float("RESIZE_CONFIRM_WINDOW", default=0)  # seconds; 0: a resize waits for its user
# --- live migration: how guests go, and when it takes too long ---
LIVE_MIGRATION_COMPLETION_TIMEOUT = env.int("LIVE_MIGRATION_COMPLETION_TIMEOUT", default=800)  # s a GiB; 0: never
LIVE_MIGRATION_TIMEOUT_ACTION = env.str("LIVE_MIGRATION_TIMEOUT_ACTION", default="abort")  # or force_complete
if LIVE_MIGRATION_TIMEOUT_ACTION not in ("abort", "force_complete"):
    raise environ.ImproperlyConfigured(
        f"LIVE_MIGRATION_TIMEOUT_ACTION is {LIVE_MIGRATION_TIMEOUT_ACTION!r}; it may be abort or force_complete"
    )
LIVE_MIGRATION_PERMIT_POST_COPY = env.bool("LIVE_MIGRATION_PERMIT_POST_COPY", default=False)
LIVE_MIGRATION_PERMIT_AUTO_CONVERGE = env.bool("LIVE_MIGRATION_PERMIT_AUTO_CONVERGE", default=True)
LIVE_MIGRATION_DOWNTIME = env.int("LIVE_MIGRATION_DOWNTIME", default=500)  # ms that a guest may stand still
LIVE_MIGRATION_BANDWIDTH = env.int("LIVE_MIGRATION_BANDWIDTH", default=0)  # MiB/s; 0: no limit
QUOTA_DEFAULTS = {name: int(limit) for name, limit in env.dict("QUOTA_DEFAULTS", default={}).items()}

# --- logs -------------------------------------------------------------------------------------------------------------
LOG_DIR = env.str("LOG_DIR", default="") or None
LOGGING_CONFIG = None  # each process calls cloud.logging.configure with its own name
