"""Quotas: what a project may have, counted where it is written; also by requests at the same moment."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, connections

from cloud.workflow.models import Action
from instances.models import Instance, Quota
from tests.unit.identity.wire import Wire
from tests.unit.instances.conftest import API, Ground, at, make_flavor, make_instance, project_of

NETWORKS = {"fixed_ips", "floating_ips", "security_groups", "security_group_rules"}
FILES = {"injected_files", "injected_file_content_bytes", "injected_file_path_bytes"}
LASTING = {
    "instances", "cores", "ram", "metadata_items", "key_pairs", "server_groups", "server_group_members",
}  # fmt: skip


def message(reply: Any) -> str:
    assert reply.status_code == 403, reply.content
    return reply.json()["forbidden"]["message"]


def test_one_instance_too_many_is_refused_in_the_words_of_the_wire(ann: Wire, ground: Ground) -> None:
    make_flavor("one", vcpus=1)
    for _ in range(9):
        make_instance(project_of(ann), vcpus=1)
    said = message(ground.boot(ann, flavorRef="one", min_count=5))
    assert said == "Quota exceeded for instances: Requested 5, but already used 9 of 10 instances"
    assert Instance.objects.count() == 9
    assert not Action.objects.exists()


def test_every_resource_that_would_be_exceeded_is_named(ann: Wire, ground: Ground) -> None:
    make_flavor("huge", vcpus=21, memory_mib=51_201)
    said = message(ground.boot(ann, flavorRef="huge"))
    assert said == "Quota exceeded for cores, ram: Requested 21, 51201, but already used 0, 0 of 20, 51200 cores, ram"


def test_as_many_as_fit_are_made_when_the_minimum_allows(ann: Wire, ground: Ground) -> None:
    make_flavor("wide", vcpus=6)
    assert ground.boot(ann, flavorRef="wide", min_count=2, max_count=9).status_code == 202
    assert Instance.objects.count() == 3  # 18 of 20 cores


def test_deleted_instances_and_other_projects_count_for_nothing(ann: Wire, bob: Wire, ground: Ground) -> None:
    from django.utils import timezone

    for _ in range(10):
        make_instance(project_of(ann), deleted_at=timezone.now())
        make_instance(project_of(bob))
    assert ground.boot(ann).status_code == 202


def test_a_limit_of_minus_one_is_none(ann: Wire, ground: Ground) -> None:
    for resource in ("instances", "cores", "ram"):
        Quota.objects.create(project_id=project_of(ann), resource=resource, limit=-1)
    assert ground.boot(ann, min_count=30).status_code == 202


@pytest.mark.django_db(transaction=True)
def test_requests_at_the_same_moment_never_exceed_the_quota_together(ann: Wire, ground: Ground) -> None:
    make_flavor("one", vcpus=1)
    Quota.objects.create(project_id=project_of(ann), resource="instances", limit=3)
    start, codes = threading.Barrier(6), []

    def boot() -> None:
        start.wait()
        codes.append(ground.boot(ann, flavorRef="one").status_code)
        connections.close_all()

    threads = [threading.Thread(target=boot) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [202] * 3 + [403] * 3
    assert Instance.objects.count() == Action.objects.count() == 3


def test_the_count_locks_the_project_where_the_database_can(ann: Wire, ground: Ground) -> None:
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        assert ground.boot(ann).status_code == 202
    locks = [query["sql"] for query in queries if "FOR NO KEY UPDATE" in query["sql"]]
    assert len(locks) == int(connection.features.has_select_for_update)


# --- quota sets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "resources"),
    [("2.1", LASTING | NETWORKS | FILES), ("2.36", LASTING | FILES), ("2.56", LASTING | FILES), ("2.57", LASTING)],
)
def test_a_quota_set_has_the_resources_of_its_microversion(ann: Wire, version: str, resources: set[str]) -> None:
    project = project_of(ann)
    shown = ann.get(f"{API}/os-quota-sets/{project}", **at(version)).json()["quota_set"]
    assert set(shown) == resources | {"id"}
    assert (shown["id"], shown["instances"], shown["cores"], shown["ram"]) == (project, 10, 20, 51200)
    detail = ann.get(f"{API}/os-quota-sets/{project}/detail", **at(version)).json()["quota_set"]
    assert set(detail) == resources | {"id"}
    assert detail["instances"] == {"limit": 10, "in_use": 0, "reserved": 0}


def test_an_admin_changes_and_resets_limits(ann: Wire, admin: Wire) -> None:
    project = project_of(ann)
    path = f"{API}/os-quota-sets/{project}"
    changed = admin.put(path, {"quota_set": {"instances": 20, "cores": "40", "ram": -1}}, **at("2.56"))
    assert changed.status_code == 200
    assert "id" not in changed.json()["quota_set"]
    shown = ann.get(path, **at("2.57")).json()["quota_set"]
    assert (shown["instances"], shown["cores"], shown["ram"]) == (20, 40, -1)
    assert ann.get(f"{path}/defaults", **at("2.57")).json()["quota_set"]["instances"] == 10
    assert admin.delete(path).status_code == 202
    assert ann.get(path).json()["quota_set"]["instances"] == 10


def test_a_limit_below_what_is_used_needs_force(ann: Wire, admin: Wire) -> None:
    project = project_of(ann)
    for _ in range(3):
        make_instance(project)
    path = f"{API}/os-quota-sets/{project}"
    reply = admin.put(path, {"quota_set": {"instances": 2}})
    assert reply.status_code == 400
    assert "3" in reply.json()["badRequest"]["message"]
    assert not Quota.objects.exists()
    assert admin.put(path, {"quota_set": {"instances": 2, "force": True}}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"quota_set": {"instances": -2}}, {"quota_set": {"instances": "many"}}, {"quota_set": {"planets": 9}},
     {"quota_set": {"instances": 2**31}}, {"quota_set": {"instances": None}}, {"quota_set": []}],
)  # fmt: skip
def test_a_wrong_limit_is_400(admin: Wire, body: Any) -> None:
    assert admin.put(f"{API}/os-quota-sets/{project_of(admin)}", body).status_code == 400
    assert not Quota.objects.exists()


def test_quotas_of_others_are_for_admins_and_of_nobody_400(ann: Wire, bob: Wire, admin: Wire) -> None:
    theirs = f"{API}/os-quota-sets/{project_of(bob)}"
    assert ann.get(theirs).status_code == 403
    assert admin.get(theirs).status_code == 200
    assert ann.put(f"{API}/os-quota-sets/{project_of(ann)}", {"quota_set": {"instances": 99}}).status_code == 403
    assert admin.get(f"{API}/os-quota-sets/nobody").status_code == 400


def test_the_default_class_changes_what_every_project_has(ann: Wire, admin: Wire) -> None:
    path = f"{API}/os-quota-class-sets/default"
    assert ann.put(path, {"quota_class_set": {"instances": 99}}).status_code == 403
    assert admin.put(path, {"quota_class_set": {"instances": 12}}, **at("2.57")).status_code == 200
    shown = admin.get(path, **at("2.57")).json()["quota_class_set"]
    assert set(shown) == LASTING | {"id"}
    assert (shown["id"], shown["instances"]) == ("default", 12)
    assert ann.get(f"{API}/os-quota-sets/{project_of(ann)}").json()["quota_set"]["instances"] == 12


def test_limits_show_what_is_used(ann: Wire, bob: Wire, admin: Wire) -> None:
    make_instance(project_of(ann))
    absolute = ann.get(f"{API}/limits?reserved=False", **at("2.57")).json()["limits"]["absolute"]
    assert (absolute["totalInstancesUsed"], absolute["totalCoresUsed"], absolute["totalRAMUsed"]) == (1, 2, 512)
    assert (absolute["maxTotalInstances"], absolute["maxTotalCores"], absolute["maxTotalRAMSize"]) == (10, 20, 51200)
    assert "maxPersonality" not in absolute
    assert "maxTotalFloatingIps" in ann.get(f"{API}/limits").json()["limits"]["absolute"]
    theirs = f"{API}/limits?tenant_id={project_of(ann)}"
    assert bob.get(theirs).status_code == 403
    assert admin.get(theirs).json()["limits"]["absolute"]["totalInstancesUsed"] == 1
