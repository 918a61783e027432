"""The state directory: its modes, and what is never removed."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud.embedded import state
from cloud.embedded.settings import Settings
from cloud.embedded.trouble import Trouble

Load = Callable[..., Settings]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_qemu_may_pass_through_and_read_nothing_secret(load: Load) -> None:
    settings = load()
    state.prepare(settings)
    assert mode(settings.state_dir) == mode(settings.state_dir / "instances") == 0o711
    for secret in ("run", "logs", "redis", "images"):
        assert mode(settings.state_dir / secret) == 0o700


def test_preparing_twice_changes_nothing(load: Load) -> None:
    settings = load()
    state.prepare(settings)
    (settings.state_dir / "kept").write_text("x")
    state.prepare(settings)
    assert (settings.state_dir / "kept").read_text() == "x"


def test_a_directory_with_somebody_elses_files_is_refused(load: Load) -> None:
    settings = load()
    settings.state_dir.mkdir()
    (settings.state_dir / "thesis.tex").write_text("x")
    with pytest.raises(Trouble, match="not Kilonova's"):
        state.prepare(settings)


def test_a_directory_without_the_marker_is_never_removed(load: Load) -> None:
    settings = load()
    settings.state_dir.mkdir()
    (settings.state_dir / "thesis.tex").write_text("x")
    with pytest.raises(Trouble, match="not Kilonova's"):
        state.remove(settings)
    assert (settings.state_dir / "thesis.tex").exists()


def test_removing_leaves_nothing(load: Load) -> None:
    settings = load()
    state.prepare(settings)
    state.remove(settings)
    assert not settings.state_dir.exists()


def test_a_directory_that_qemu_cannot_reach_is_refused_with_the_parent_that_is_closed(
    load: Load, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(Trouble, match=f"cannot pass through {closed}"):
        state.prepare(load(KILONOVA_DRIVER="libvirt", KILONOVA_STATE_DIR=str(closed / "s")))


def test_two_commands_do_not_change_one_cloud_at_once(load: Load) -> None:
    settings = load()
    state.prepare(settings)
    with state.one_at_a_time(settings):
        with pytest.raises(Trouble, match=r"another ./kilonova command"):
            with state.one_at_a_time(settings):
                pass
