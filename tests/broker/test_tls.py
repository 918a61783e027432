"""TLS to Redis and the API: who has the cloud's CA is let in, who has not or speaks plain text is not; and a boot goes
over it, carried out by a compute host that knows only what `enroll_host` wrote for it.
"""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import redis
import requests
from django.core.management import call_command
from django.test import override_settings

from cloud.embedded import programs, tls
from cloud.pki import authority
from cloud.pki.authority import Pair
from cloud.workflow.legs import first_report
from cloud.workflow.models import Action, Host
from cloud.workflow.states import ActionState
from hypervisor import image_download, reports
from hypervisor.errors import ImageUnreachable
from hypervisor.spec import ImageSource
from scheduling.models import ComputeNode
from tests.broker import brokers, processes
from tests.broker.brokers import Broker, message
from tests.operations.tenant import Tenant
from tests.running_cloud import ROOT, wait_for


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.running(tmp_path_factory.mktemp("tls"), has_tls=True) as broker:
        yield broker


@pytest.fixture(scope="module")
def api(broker: Broker) -> Iterator[str]:
    """gunicorn as `up` runs it; its URL. Its database is empty: it answers, and that is all that is asked here."""
    program = next(program for program in programs.programs(broker.settings) if program.name == "api")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **program.environment}
    with (broker.settings.state_dir / "api.log").open("wb") as log:
        process = subprocess.Popen(
            program.command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    url = broker.settings["PUBLIC_URL"]
    try:
        wait_for("the API", lambda: _status(url, broker.settings.ca_file), timeout=60)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _status(url: str, ca_file: str) -> int:
    try:
        return requests.get(f"{url}/compute/", verify=ca_file, timeout=10).status_code
    except requests.ConnectionError:
        return 0


# --- the API ----------------------------------------------------------------------------------------------------------


def test_the_api_is_believed_by_who_has_the_ca_and_by_nobody_else(api: str, broker: Broker, tmp_path: Path) -> None:
    assert api.startswith("https://")
    assert requests.get(f"{api}/compute/", verify=broker.settings.ca_file, timeout=10).json()["versions"]
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{api}/compute/", timeout=10)
    another = authority.ensure(tmp_path / "another")
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{api}/compute/", verify=str(another.certificate), timeout=10)


def test_curl_with_the_ca_is_answered_and_without_it_refuses(api: str, broker: Broker) -> None:
    def curl(*options: str) -> int:
        command = ["curl", "-s", "-o", os.devnull, "-m", "10", *options, f"{api}/compute/"]
        return subprocess.run(command, check=False).returncode

    assert curl("--cacert", broker.settings.ca_file) == 0
    assert curl() == 60  # the certificate cannot be verified


def test_the_api_does_not_answer_plain_text(api: str) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{api}/compute/".replace("https:", "http:"), timeout=10)


def test_a_host_fetches_an_image_by_the_ca_alone(api: str, broker: Broker) -> None:
    """Any bytes of the API will do here; without the CA none come."""
    image = ImageSource(
        id="i",
        name="image",
        url=f"{api}/compute/",
        disk_format="raw",
        size_bytes=0,
        virtual_size_bytes=0,
        sha512="",
    )
    assert b"versions" in b"".join(image_download.chunks(image, broker.settings.ca_file, 1024))
    with pytest.raises(ImageUnreachable, match="SSLError"):
        list(image_download.chunks(image, None, 1024))


# --- Redis ------------------------------------------------------------------------------------------------------------


def test_redis_is_believed_by_who_has_the_ca_and_speaks_no_plain_text(broker: Broker) -> None:
    assert broker.admin.ping()
    with pytest.raises(redis.exceptions.ConnectionError, match="certificate verify failed"):
        redis.Redis.from_url(broker.settings.broker_admin_url).ping()
    with pytest.raises(redis.exceptions.ConnectionError):
        redis.Redis.from_url(broker.settings.broker_admin_url.replace("rediss:", "redis:")).ping()


@pytest.mark.django_db(transaction=True)
def test_an_enrolled_host_carries_out_a_boot_over_tls_with_its_own_user(broker: Broker, tmp_path: Path) -> None:
    """Its settings file is all that it has; Redis' own log has no refusal of what Celery did."""
    settings = broker.settings
    file = tmp_path / "h1.env"
    with override_settings(
        BROKER_ADMIN_URL=settings.broker_admin_url,
        HOSTS_BROKER_URL=settings["HOSTS_BROKER_URL"],
        BROKER_CA_FILE=settings.ca_file,
        TLS_DIR=settings.tls_dir,
    ):
        call_command("enroll_host", "h1", "--settings-file", str(file), stdout=io.StringIO())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "rediss://compute.h1:" in file.read_text()
    broker.admin.acl_log_reset()
    with ExitStack() as stack:
        conductor = stack.enter_context(processes.conductor(broker, tmp_path))
        ca_file = str(tmp_path / "h1.pki" / "CA" / "cacert.pem")
        workers = [
            stack.enter_context(processes.compute(file, "h1", ca_file=ca_file, is_control=is_control))
            for is_control in (True, False)
        ]
        wait_for("the host", lambda: Host.objects.filter(is_up=True) and ComputeNode.objects.exists(), 60)
        instance = Tenant().boot()
        action = Action.objects.get(target_id=instance.pk)
        said = message(reports.ADVANCE, first_report(action))
        broker.client(settings["BROKER_URL"]).lpush("scheduler", json.dumps(said))
        wait_for("the boot", lambda: not Action.objects.get(pk=action.pk).is_live, 60)
        action.refresh_from_db()
        assert action.state == ActionState.SUCCEEDED, (action.fault, conductor.said()[-2000:])
        assert all(worker.is_alive for worker in workers)
    refusals = [entry for entry in broker.admin.acl_log() if "setinfo" not in str(entry).lower()]
    assert refusals == []


# --- certificates -----------------------------------------------------------------------------------------------------


def test_private_keys_are_for_their_owner_alone_and_the_ca_for_everybody(broker: Broker) -> None:
    directory = broker.settings.tls_dir
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o644, "server.key": 0o600}


def test_a_certificate_is_kept_while_it_lasts_and_renewed_for_another_name_another_authority_or_near_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = authority.ensure(tmp_path)
    pair = Pair(certificate=tmp_path / "server.pem", key=tmp_path / "server.key")
    assert own.issue(pair, "controller", ["192.0.2.1"])
    assert not own.issue(pair, "controller", ["192.0.2.1"])
    assert own.issue(pair, "controller", ["192.0.2.2"])
    assert authority.ensure(tmp_path / "another").issue(pair, "controller", ["192.0.2.2"])
    assert own.issue(pair, "controller", ["192.0.2.2"])
    monkeypatch.setattr(authority, "_RENEWED_BEFORE", timedelta(days=900))  # longer than a certificate lasts
    assert own.issue(pair, "controller", ["192.0.2.2"])
    before = own.certificate.read_bytes()
    assert authority.ensure(tmp_path).certificate.read_bytes() == before  # the authority itself lasts longer


def test_a_host_that_is_enrolled_again_keeps_its_certificate(tmp_path: Path) -> None:
    authority.ensure(tmp_path / "tls")
    with override_settings(TLS_DIR=tmp_path / "tls"):
        from cloud.workflow import enrolment

        host = Host(name="h1")
        assert enrolment.write_certificates(host, tmp_path / "h1.pki", ["192.0.2.1"])
        first = (tmp_path / "h1.pki" / "libvirt" / "servercert.pem").read_bytes()
        assert enrolment.write_certificates(host, tmp_path / "h1.pki", ["192.0.2.1"])
    assert (tmp_path / "h1.pki" / "libvirt" / "servercert.pem").read_bytes() == first
    keys = list((tmp_path / "h1.pki").rglob("*key.pem"))
    assert len(keys) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


def test_the_certificate_of_a_machine_holds_for_every_name_by_which_it_is_reached(broker: Broker) -> None:
    assert {"localhost", "127.0.0.1", "::1"} <= set(tls.names(broker.settings))
