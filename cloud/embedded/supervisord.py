"""supervisord with a bound on its patience: a program that keeps failing is tried again every few seconds, for ever.

Run as `python -m cloud.embedded.supervisord -c CONFIG`. Plain supervisord waits one second longer after each failed
start, without bound, and gives up for good after `startretries`: a broker that was down for an hour must not mean that
a conductor stays away for another.
"""

from __future__ import annotations

import time
from typing import Any

from supervisor import supervisord
from supervisor.process import Subprocess
from supervisor.states import ProcessStates

LONGEST_BACKOFF = 3  # seconds

_change_state = Subprocess.change_state


def change_state(self: Any, new_state: int, expected: bool = True) -> bool | None:
    """Subprocess.change_state, with the back-off bounded: under `startretries`, FATAL is never reached."""
    changed = _change_state(self, new_state, expected)
    if new_state == ProcessStates.BACKOFF and self.backoff > LONGEST_BACKOFF:
        self.backoff = LONGEST_BACKOFF
        self.delay = time.time() + LONGEST_BACKOFF
    return changed


def main() -> None:
    """supervisord's own command line."""
    Subprocess.change_state = change_state
    supervisord.main()


if __name__ == "__main__":
    main()
