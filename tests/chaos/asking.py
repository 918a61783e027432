"""One user for tests that look at single operations: asks by REST, and looks by SQL what came of it."""

from __future__ import annotations

from typing import Any

from tests.chaos import invariants
from tests.chaos.cloud import ChaosCloud
from tests.chaos.database import Database
from tests.chaos.invariants import LIVE
from tests.chaos.load import Load
from tests.running_cloud import wait_for


class Asking:
    """The user admin of a cloud under chaos, and its database."""

    def __init__(self, cloud: ChaosCloud) -> None:
        self.cloud = cloud
        self.database = Database(cloud.database_url)
        self.load = Load(cloud.made, seed=0)

    def boot(self, name: str, count: int = 1) -> list[str]:
        """Asks for so many servers; gives their ids, in the order of their making."""
        made = self.load.made
        networks = [{"uuid": made.network}]
        wanted = {"name": name, "imageRef": made.image, "flavorRef": made.flavors[0], "networks": networks}
        many = {"min_count": count, "max_count": count} if count > 1 else {}
        self.accepted("boot", "", self.load.call("POST", "/servers", {"server": {**wanted, **many}}))
        # an ordinary boot is named as asked, several get a number each
        found = self.database.rows("SELECT id, display_name FROM instances_instance WHERE deleted_at IS NULL")
        mine = [row["id"] for row in found if row["display_name"] == name or row["display_name"].startswith(f"{name}-")]
        assert len(mine) == count, found
        return mine

    def act(self, server: str, body: dict[str, Any]) -> None:
        """Asks for a verb; it has to be accepted."""
        self.accepted("act", server, self.load.call("POST", f"/servers/{server}/action", body))

    def delete(self, *servers: str) -> None:
        """Deletes servers and waits until nothing is alive."""
        for server in servers:
            self.accepted("delete", server, self.load.call("DELETE", f"/servers/{server}"))
        self.wait_quiet()

    def accepted(self, verb: str, server: str, answer: Any) -> None:
        """Asserts that the request was."""
        assert self.load.note(verb, server, answer), answer.text if answer is not None else "nobody answered"

    def live(self) -> int:
        """How many actions are alive."""
        return int(self.database.rows(f"SELECT COUNT(*) AS n FROM workflow_action WHERE state IN {LIVE}")[0]["n"])

    def actions(self, server: str) -> list[dict[str, Any]]:
        """The server's actions, the first one first."""
        rows = self.database.rows("SELECT * FROM workflow_action ORDER BY created_at")
        return [row for row in rows if row["target_id"] == server]

    def events(self, server: str) -> list[dict[str, Any]]:
        """The steps of all its actions, in order."""
        mine = {row["id"] for row in self.actions(server)}
        return [
            row
            for row in self.database.rows("SELECT * FROM workflow_actionevent ORDER BY id")
            if row["action_id"] in mine
        ]

    def instance(self, server: str) -> dict[str, Any]:
        """The instance's row."""
        return next(row for row in self.database.rows("SELECT * FROM instances_instance") if row["id"] == server)

    def wait_quiet(self, timeout: float = 60.0) -> None:
        """Until no action is alive and no host owes anything."""

        def is_quiet() -> bool:
            owed = self.database.rows("SELECT COUNT(*) AS n FROM workflow_actionevent WHERE state = 'OWED'")[0]["n"]
            return not self.live() and not owed

        wait_for("every action to end", is_quiet, timeout)

    def breaches(self) -> list[str]:
        """What is broken now."""
        found = invariants.breaches(self.database, self.cloud.hosts, self.load.accepted)
        return [f"{breach.invariant}: {breach.subject} {breach.text}" for breach in found]
