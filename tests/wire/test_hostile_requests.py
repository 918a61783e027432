"""A seeded stream of nonsense over real HTTP, to every address: nothing of it makes a 500, and the API goes on."""

from __future__ import annotations

import http.client
import secrets
import time

import pytest

from tests.hostile_requests import hostile_requests
from tests.running_cloud import RunningCloud
from tests.wire.hostile_user import HostileUser, raw_status

pytestmark = [pytest.mark.wire, pytest.mark.real]

SERVERS = "/compute/v2.1/servers"
FUZZ_SEED, FUZZ_REQUESTS, FUZZ_SECONDS = 20, 1_500, 60


@pytest.fixture(scope="module")
def admin(cloud: RunningCloud) -> HostileUser:
    return HostileUser(cloud, cloud.token())


def test_no_hostile_request_makes_a_500(cloud: RunningCloud, admin: HostileUser) -> None:
    """A seeded stream over every address. What it names and may change is made for it: never the sender's own."""
    name = f"victim-{secrets.token_hex(4)}"
    v3, v2 = "/identity/v3", "/networking/v2.0"
    ids = {
        "kind": "projects",
        "number": "2.1",
        "domain_id": admin.ok("POST", f"{v3}/domains", {"domain": {"name": name}})["domain"]["id"],
        "project_id": admin.ok("POST", f"{v3}/projects", {"project": {"name": name}})["project"]["id"],
        "user_id": admin.ok("POST", f"{v3}/users", {"user": {"name": name}})["user"]["id"],
        "role_id": admin.ok("POST", f"{v3}/roles", {"role": {"name": name}})["role"]["id"],
        "image_id": admin.queued_image(),
        "flavor_id": admin.ok(
            "POST", "/compute/v2.1/flavors", {"flavor": {"name": name, "ram": 1, "vcpus": 1, "disk": 1}}
        )["flavor"]["id"],
        "network_id": admin.ok("POST", f"{v2}/networks", {"network": {"name": name}})["network"]["id"],
    }
    ids["target_id"] = ids["project_id"]
    port = admin.ok("POST", f"{v2}/ports", {"port": {"network_id": ids["network_id"]}})
    ids["port_id"] = port["port"]["id"]
    failed, statuses = [], set()
    until = time.monotonic() + FUZZ_SECONDS
    try:
        for request in hostile_requests(FUZZ_SEED, FUZZ_REQUESTS, ids):
            if time.monotonic() > until:
                break
            headers = {"X-Auth-Token": admin.token, "Content-Type": request.content_type, **request.headers}
            try:
                status = raw_status(cloud.base, request.method, request.path, request.body, headers)
            except (OSError, http.client.HTTPException) as error:
                failed.append(f"{error!r}: {request}")
                continue
            statuses.add(status)
            if status >= 500 and not request.path.startswith("/healthcheck"):
                failed.append(f"{status}: {request}")
        assert not failed, f"{len(failed)}:\n" + "\n".join(failed[:20])
        assert {200, 400, 401, 404, 405} <= statuses
        assert admin.send("GET", SERVERS).status_code == 200
    finally:
        for path in (f"{v2}/ports/{ids['port_id']}", f"{v2}/networks/{ids['network_id']}"):
            admin.send("DELETE", path)
        for kind in ("user", "project", "role"):
            admin.send("DELETE", f"{v3}/{kind}s/{ids[f'{kind}_id']}")
        admin.send("PATCH", f"{v3}/domains/{ids['domain_id']}", {"domain": {"enabled": False}})
        admin.send("DELETE", f"{v3}/domains/{ids['domain_id']}")
        admin.send("DELETE", f"/image/v2/images/{ids['image_id']}")
        admin.send("DELETE", f"/compute/v2.1/flavors/{ids['flavor_id']}")
