"""`./kilonova down`: stops every process. With `--purge`, nothing of the cloud is left: see purge.py."""

from __future__ import annotations

from cloud.embedded import leftovers, purge, state, supervisor
from cloud.embedded.progress import Console
from cloud.embedded.settings import Settings


def down(settings: Settings, console: Console, *, with_purge: bool) -> None:
    """Stops the processes and waits until they are gone. Guests keep running, save with `with_purge`."""
    with state.one_at_a_time(settings):
        if with_purge:
            purge.guests_and_networks(settings, console)
        if supervisor.is_up(settings):
            with console.step("stop all processes"):
                supervisor.stop(settings)
        else:
            console.done("all processes", "were stopped already")
        ended = leftovers.end(settings)
        if ended:
            console.done("processes without a supervisor", f"ended {', '.join(sorted(set(ended.values())))}")
        if with_purge:
            state.remove(settings)
            console.done(f"state directory {settings.state_dir}", "removed")
