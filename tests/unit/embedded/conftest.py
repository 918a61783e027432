"""A checkout's `.env.example` and a state directory in a temporary place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cloud.embedded import settings as settings_
from cloud.embedded.settings import Settings


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the documented names and no .env."""
    root = tmp_path / "checkout"
    root.mkdir()
    (root / ".env.example").write_text((settings_.CHECKOUT / ".env.example").read_text())
    return root


@pytest.fixture
def load(checkout: Path, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a cloud with the simulated driver, whose directories QEMU need not reach."""

    def with_environment(**environment: str) -> Settings:
        base = {"KILONOVA_STATE_DIR": str(tmp_path / "s"), "KILONOVA_DRIVER": "simulated", "KILONOVA_HOST": "h1"}
        return settings_.load({**base, **environment}, checkout=checkout)

    return with_environment
