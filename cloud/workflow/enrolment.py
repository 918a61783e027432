"""What a compute host is given when it is enrolled: its settings file, its user of the broker, its certificates.

All of it follows from its row and its key, so that enrolling again gives the same; a new key changes all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from cloud import broker_users
from cloud.pki import authority, host_files
from cloud.pki.files import write_whole
from cloud.workflow.models import Host
from cloud.workflow.tokens import host_key

_HEAD = """\
# The settings of the compute host {host}, made by `manage.py enroll_host {host}`. For root alone: copy it to the host,
# as `.env` in the directory where its workers are started (docs/how-to/add-a-compute-host.md).
"""
_OWN_ADDRESS = """\
# The address under which other hosts reach this one: set it where there are any.
# HOST_IP=
"""


def settings_of(host: Host) -> dict[str, str]:
    """The settings that are the host's own: its name, its key, its login to the broker, what it verifies others by."""
    key = host_key(host)
    url = settings.HOSTS_BROKER_URL
    if broker_users.has_users(url):
        url = broker_users.url_for(url, broker_users.user_of(host.name), broker_users.password_of(key))
    values = {"KILONOVA_HOST": host.name, "KILONOVA_HOST_KEY": key, "BROKER_URL": url}
    own = authority.found(settings.TLS_DIR)
    if urlsplit(url).scheme == "rediss" and settings.BROKER_CA_FILE:
        is_own = own is not None and Path(settings.BROKER_CA_FILE) == own.certificate
        values["BROKER_CA_FILE"] = host_files.CA_FILE if is_own else settings.BROKER_CA_FILE
    if own is not None and settings.IMAGES_URL.startswith("https:"):
        values["IMAGE_CA_FILE"] = host_files.CA_FILE
    return values


def write_settings(host: Host, path: Path, addresses: Sequence[str] = ()) -> None:
    """Writes the host's settings file, mode 0600 from its first byte on."""
    lines = [f"{name}={value}\n" for name, value in settings_of(host).items()]
    lines.append("KILONOVA_STATE_DIR=/var/lib/kilonova\n")
    lines.append(f"HOST_IP={addresses[0]}\n" if addresses else _OWN_ADDRESS)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, (_HEAD.format(host=host.name) + "".join(lines)).encode(), 0o600)


def write_certificates(host: Host, directory: Path, addresses: Sequence[str] = ()) -> bool:
    """Writes the host's `/etc/pki` into the directory; False when this cloud has no authority to sign it."""
    own = authority.found(settings.TLS_DIR)
    if own is None:
        return False
    host_files.write(own, directory, host.name, addresses)
    return True


def admit_to_broker(host: Host, *, ends_sessions: bool = False) -> None:
    """Makes the host's user of the broker, a Redis. Raises `broker_users.BrokerRefused` when it cannot."""
    broker_users.admit(
        settings.BROKER_ADMIN_URL,
        host.name,
        host_key(host),
        ca_file=settings.BROKER_CA_FILE,
        ends_sessions=ends_sessions,
    )


def broker_line(host: Host) -> str:
    """The host's user as a line of an ACL file of Redis, for who makes it by hand."""
    return broker_users.host_line(host.name, broker_users.digest_of(broker_users.password_of(host_key(host))))
