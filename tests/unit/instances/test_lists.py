"""Lists of servers: whose, which, in what order, page by page, and at what cost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instances.api.server_list import _SORT_KEYS
from instances.models import Fault, Instance
from instances.states import VmState
from scheduling.models import ComputeNode
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, Ground, at, make_instance, project_of


def names(wire: Wire, query: str = "", version: str = "2.1", status: int = 200) -> list[str]:
    reply = wire.get(f"{API}/servers?{query}", **at(version))
    assert reply.status_code == status, reply.content
    return [server["name"] for server in reply.json().get("servers", ())]


@pytest.fixture
def blue(ann: Wire) -> str:
    return project_of(ann)


def series(project: str, *each: str, **fields: Any) -> list[Instance]:
    """Instances, one second apart, the first the oldest."""
    start = timezone.now() - timedelta(hours=1)
    return [
        make_instance(project, name, created_at=start + timedelta(seconds=i), updated_at=start, **fields)
        for i, name in enumerate(each)
    ]


# --- whose ------------------------------------------------------------------------------------------------------------


def test_a_project_sees_its_own_and_an_admin_all_when_it_asks(ann: Wire, bob: Wire, admin: Wire) -> None:
    make_instance(project_of(ann), "anns")
    make_instance(project_of(bob), "bobs")
    assert names(ann) == ["anns"]
    assert names(bob) == ["bobs"]
    assert names(admin) == []
    assert sorted(names(admin, "all_tenants=1")) == ["anns", "bobs"]
    assert sorted(names(admin, "all_tenants=")) == ["anns", "bobs"]
    assert names(admin, f"project_id={project_of(bob)}") == ["bobs"]
    assert names(admin, f"all_tenants=True&tenant_id={project_of(ann)}") == ["anns"]


def test_all_tenants_is_for_admins(ann: Wire, bob: Wire) -> None:
    names(ann, "all_tenants=1", status=403)
    names(ann, f"tenant_id={project_of(bob)}", status=403)
    assert names(ann, "all_tenants=0") == []
    names(ann, "all_tenants=perhaps", status=400)


def test_another_projects_server_is_404_and_so_is_a_name_and_a_malformed_id(ann: Wire, bob: Wire, blue: str) -> None:
    row = make_instance(blue, "web")
    assert bob.get(f"{API}/servers/{row.pk}").status_code == 404
    for path in ("web", row.pk.hex, f"{{{row.pk}}}", "1", "a" * 300, "%00", "x%0Ay"):
        reply = ann.get(f"{API}/servers/{path}")
        assert reply.status_code == 404, path
        assert reply.json()["itemNotFound"]["code"] == 404
    assert names(ann, "name=web") == ["web"]


def test_a_reader_reads(rita: Wire, ann: Wire, blue: str) -> None:
    make_instance(blue, "web")
    assert names(rita) == ["web"]


# --- deleted ones -----------------------------------------------------------------------------------------------------


def test_deleted_servers_are_gone_except_for_admins_who_ask(ann: Wire, admin: Wire, blue: str) -> None:
    now = timezone.now()
    gone = make_instance(blue, "gone", vm_state=VmState.DELETED, deleted_at=now, host="")
    make_instance(blue, "here")
    assert names(ann) == ["here"]
    assert names(ann, "deleted=True") == ["here"]
    assert ann.get(f"{API}/servers/{gone.pk}").status_code == 404
    assert names(admin, "all_tenants=1&deleted=False") == ["here"]
    assert names(admin, "all_tenants=1&deleted=True") == ["gone"]
    assert names(admin, "all_tenants=1&status=deleted") == ["gone"]
    names(ann, "status=DELETED", status=403)
    shown = admin.get(f"{API}/servers/detail?all_tenants=1&deleted=1").json()["servers"][0]
    assert shown["status"] == "DELETED"


def test_who_follows_changes_learns_of_deletes(ann: Wire, blue: str) -> None:
    now = timezone.now()
    make_instance(blue, "old", updated_at=now - timedelta(days=2))
    make_instance(blue, "gone", vm_state=VmState.DELETED, deleted_at=now, updated_at=now)
    since = quote((now - timedelta(hours=1)).isoformat())
    before = quote((now - timedelta(hours=1)).isoformat())
    assert names(ann, f"changes-since={since}") == ["gone"]
    assert names(ann, f"changes-before={before}", version="2.66") == ["old"]
    assert names(ann, "changes-since=2020-01-01T00:00:00Z&name=old") == ["old"]
    names(ann, "changes-since=yesterday", status=400)
    names(ann, "changes-since=2020-13-45T00:00:00Z", status=400)


# --- filters ----------------------------------------------------------------------------------------------------------


def test_each_filter_keeps_the_servers_that_it_names(ann: Wire, ground: Ground, blue: str) -> None:
    wanted = make_instance(
        blue,
        "web-1",
        network=ground.network,
        vm_state=VmState.STOPPED,
        flavor_id="large",
        image_id="11111111-1111-1111-1111-111111111111",
        key_name="k",
        reservation_id="r-11111111",
        user_id="1" * 32,
        availability_zone="east",
        power_state=4,
        task_state="deleting",
        tags=["x", "y"],
        is_locked=True,
        hostname="web-1",
        access_ip_v4="192.0.2.1",
        description="the one",
        launch_index=3,
    )
    make_instance(blue, "db", network=ground.network, tags=["y"], config_drive=False)
    address = ann.get(f"{API}/servers/{wanted.pk}/ips").json()["addresses"]["shared"][0]["addr"]
    for query in (
        "name=web",
        "name=%5Eweb-%5B0-9%5D%24",
        f"uuid={wanted.pk}",
        "status=SHUTOFF",
        "status=shutoff&status=ERROR",
        "vm_state=stopped",
        "task_state=deleting",
        "power_state=4",
        "flavor=large",
        "image=11111111-1111-1111-1111-111111111111",
        f"user_id={'1' * 32}",
        "reservation_id=r-11111111",
        "key_name=k",
        "availability_zone=east",
        "config_drive=true",
        "locked=True",
        "tags=x,y",
        "tags-any=x,z",
        "not-tags-any=z,zz&tags=x",
        f"ip={address}%24",
        "access_ip_v4=192.0.2.1",
        "hostname=web",
        "description=one",
        "launch_index=3",
    ):
        assert names(ann, query, version="2.96") == ["web-1"], query
    for query, left in (
        ("tags=y", ["db", "web-1"]),
        ("not-tags=x,y", ["db"]),
        ("not-tags-any=x", ["db"]),
        ("tags=X", []),
        ("task_state=None", ["db"]),
        ("status=NONSENSE", []),
        ("status=ACTIVE", ["db"]),
        ("ip=10.9.", []),
        ("uuid=none", []),
        ("access_ip_v4=none", []),
        ("ip6=fe80", []),
    ):
        assert sorted(names(ann, query, version="2.96")) == left, query


def test_the_host_is_a_filter_for_admins_and_none_for_others(ann: Wire, admin: Wire, blue: str) -> None:
    make_instance(blue, "a", host="h1")
    make_instance(blue, "b", host="h2")
    assert names(admin, "all_tenants=1&host=h2") == ["b"]
    assert sorted(names(ann, "host=h2")) == ["a", "b"]


def test_tags_and_locked_filter_nothing_before_their_versions(ann: Wire, blue: str) -> None:
    make_instance(blue, "a")
    assert names(ann, "tags=x", version="2.25") == ["a"]
    assert names(ann, "tags=x", version="2.26") == []
    assert names(ann, "locked=true", version="2.72") == ["a"]
    assert names(ann, "locked=true", version="2.73") == []


def test_an_unknown_parameter_has_no_effect_before_2_75_and_is_400_from_then_on(ann: Wire, blue: str) -> None:
    make_instance(blue, "a")
    assert names(ann, "colour=red", version="2.74") == ["a"]
    reply = ann.get(f"{API}/servers?colour=red", **at("2.75"))
    assert reply.status_code == 400
    assert "colour" in reply.json()["badRequest"]["message"]


@pytest.mark.parametrize(
    "query",
    [
        "name=%5B", "name=%28a%2B%29%2B%24", "name=" + "a" * 256, "name=%28a%29%5C1", "name=a%2Aa%2Aa%2Aa%2Ab",
        "ip=%28", "name=%00", "power_state=on", "locked=perhaps", "limit=-1", "limit=x", "limit=1.5", "marker=nobody",
        "sort_key=password", "sort_dir=up&sort_key=name", "changes-before=x",
    ],
)  # fmt: skip
def test_a_wrong_filter_is_400_and_names_its_value(ann: Wire, blue: str, query: str) -> None:
    reply = ann.get(f"{API}/servers/detail?{query}", **at("2.96"))
    assert reply.status_code == 400, query
    assert reply.json()["badRequest"]["message"]


# --- order and pages --------------------------------------------------------------------------------------------------


def test_the_newest_come_first(ann: Wire, blue: str) -> None:
    series(blue, "a", "b", "c")
    assert names(ann) == ["c", "b", "a"]
    assert names(ann, "sort_dir=asc") == ["a", "b", "c"]


def test_rows_are_sorted_by_the_keys_and_directions_asked_for(ann: Wire, blue: str) -> None:
    series(blue, "b", "a", host="h1")
    series(blue, "c", "d", host="h2")
    assert names(ann, "sort_key=display_name&sort_dir=asc") == ["a", "b", "c", "d"]
    assert names(ann, "sort_key=host&sort_dir=desc&sort_key=name&sort_dir=asc") == ["c", "d", "a", "b"]


def test_pages_follow_one_another_to_the_end(ann: Wire, blue: str) -> None:
    series(blue, *"abcdefg")
    seen, path = [], f"{API}/servers?limit=3"
    for _ in range(4):
        reply = ann.get(path).json()
        seen += [server["name"] for server in reply["servers"]]
        if "servers_links" not in reply:
            break
        [link] = reply["servers_links"]
        assert link["rel"] == "next"
        assert f"{reply['servers'][-1]['id']}" in link["href"]
        parts = urlsplit(link["href"])
        path = f"{parts.path}?{parts.query}"
    assert seen == list("gfedcba")


@pytest.mark.parametrize("key", ["task_state", "key_name", "launched_at", "terminated_at", "locked_by", "access_ip_v4"])
def test_pages_by_a_key_that_may_be_null_lose_no_row(ann: Wire, blue: str, key: str) -> None:
    column = {"locked_by": "owner", "access_ip_v4": "10.0.0.1", "task_state": "deleting", "key_name": "k"}.get(key)
    series(blue, "a", "b", "c", launched_at=None)
    series(blue, "d", "e", **{key: column or timezone.now()})
    seen: list[str] = []
    marker = ""
    while True:
        reply = ann.get(f"{API}/servers?limit=2&sort_key={key}&sort_dir=asc{marker}").json()["servers"]
        seen += [server["name"] for server in reply]
        if len(reply) < 2:
            break
        marker = f"&marker={reply[-1]['id']}"
    assert sorted(seen) == list("abcde")
    assert set(seen[:3]) == set("abc")


@pytest.mark.parametrize("key", [*_SORT_KEYS, "id", "name", "description"])
def test_every_sort_key_pages(ann: Wire, blue: str, key: str) -> None:
    series(blue, "a", "b", "c")
    first = ann.get(f"{API}/servers?limit=2&sort_key={key}", **at("2.96")).json()["servers"]
    rest = ann.get(f"{API}/servers?sort_key={key}&marker={first[-1]['id']}", **at("2.96")).json()["servers"]
    assert sorted(server["name"] for server in [*first, *rest]) == ["a", "b", "c"]


def test_a_marker_whose_server_no_longer_passes_the_filter_still_marks(ann: Wire, blue: str) -> None:
    rows = series(blue, "a", "b", "c")
    Instance.objects.filter(pk=rows[1].pk).update(vm_state=VmState.ERROR, deleted_at=timezone.now())
    assert names(ann, f"status=ACTIVE&marker={rows[1].pk}") == ["a"]


def test_a_marker_of_another_project_is_400(ann: Wire, bob: Wire, blue: str) -> None:
    row = make_instance(project_of(bob))
    names(ann, f"marker={row.pk}", status=400)


def test_limit_0_is_an_empty_page(ann: Wire, blue: str) -> None:
    series(blue, "a")
    assert ann.get(f"{API}/servers/detail?limit=0").json() == {"servers": []}


# --- cost -------------------------------------------------------------------------------------------------------------


def test_a_list_costs_the_same_queries_however_long_it_is(ann: Wire, admin: Wire, ground: Ground, blue: str) -> None:
    def queries(wire: Wire, query: str = "") -> int:
        with CaptureQueriesContext(connection) as captured:
            assert wire.get(f"{API}/servers/detail?{query}", **at("2.96")).status_code == 200
        return len(captured)

    for number in range(2):
        make_instance(blue, f"a{number}", network=ground.network)
        failed = make_instance(blue, f"b{number}", vm_state=VmState.ERROR)
        Fault.objects.create(instance=failed, message="no")
    few = queries(ann), queries(admin, "all_tenants=1")
    for number in range(10):
        make_instance(blue, f"c{number}", network=ground.network)
        failed = make_instance(blue, f"d{number}", vm_state=VmState.ERROR)
        Fault.objects.create(instance=failed, message="no")
    # token · servers · addresses · faults; for admins hypervisors and services too
    assert (queries(ann), queries(admin, "all_tenants=1")) == few == (4, 6)


def test_showing_one_costs_three_queries_and_four_for_an_admin(
    ann: Wire, admin: Wire, ground: Ground, blue: str
) -> None:
    ComputeNode.objects.create(host="counted", hypervisor_hostname="counted.example", zone="nova")
    row = make_instance(blue, network=ground.network, host="counted")
    shown = admin.get(f"{API}/servers/{row.pk}", **at("2.96")).json()["server"]
    assert shown["OS-EXT-SRV-ATTR:hypervisor_hostname"] == "counted.example"
    for wire, cost in ((ann, 3), (admin, 4)):
        with CaptureQueriesContext(connection) as captured:
            assert wire.get(f"{API}/servers/{row.pk}", **at("2.96")).status_code == 200
        assert len(captured) == cost
