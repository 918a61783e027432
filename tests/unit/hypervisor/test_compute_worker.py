"""A compute worker has no database, no Django and no secret but its own key; a fresh interpreter shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

PROBE = """
import sys
for name in ("django", "rest_framework", "psycopg2", "sqlite3"):
    sys.modules[name] = None  # as on a compute host, where it is not installed: importing it raises ImportError
import hypervisor.worker as worker
worker.app.loader.import_default_modules()
loaded = set(sys.modules)
for name in ("cloud.settings", "cloud.celery", "instances"):
    assert name not in loaded, f"{name} is imported"
assert not [n for n in loaded if n.startswith(("cloud.workflow", "cloud.api", "scheduling"))]
import os
assert not [n for n in os.environ if n in ("DATABASE_URL", "SECRET_KEY", "HOST_KEYS_SECRET", "DJANGO_SETTINGS_MODULE")]
names = sorted(worker.app.tasks)
assert all(name.startswith("hypervisor.") for name in names), names
print(" ".join(names))
"""


def worker_environment(tmp_path: Path) -> dict[str, str]:
    """What `enroll_host` and the operator give to a compute worker: nothing of the database."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "KILONOVA_ENV_FILE": str(tmp_path / "none.env"),
        "KILONOVA_HOST": "h1",
        "KILONOVA_HOST_KEY": "key",
        "KILONOVA_DRIVER": "simulated",
        "KILONOVA_STATE_DIR": str(tmp_path),
        "BROKER_URL": "memory://",
    }


def test_a_worker_starts_without_django_and_without_a_database(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], env=worker_environment(tmp_path), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert {"hypervisor.create_disk", "hypervisor.delete_disk", "hypervisor.fence"} <= set(done.stdout.split())


def test_its_requirements_name_neither_django_nor_a_database_driver() -> None:
    wanted = (ROOT / "requirements" / "compute.txt").read_text().lower()
    names = [line.split("==")[0].strip() for line in wanted.splitlines() if line and not line.startswith("#")]
    assert "django" not in names
    assert not {"psycopg2", "psycopg2-binary", "psycopg", "djangorestframework"} & set(names)
    assert "celery[redis]" in names


def test_without_its_key_it_refuses_to_start(tmp_path: Path) -> None:
    environment = worker_environment(tmp_path)
    del environment["KILONOVA_HOST_KEY"]
    done = subprocess.run(
        [sys.executable, "-c", "import hypervisor.worker"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    assert "KILONOVA_HOST_KEY" in done.stderr
