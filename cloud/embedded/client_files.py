"""What the `openstack` client needs: `clouds.yaml` and `openrc` in the state directory, for root or who called sudo."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

from cloud.embedded import envfile
from cloud.embedded.settings import Settings

CLOUD_NAME = "kilonova"


def write(settings: Settings) -> tuple[Path, Path]:
    """Writes both, mode 0600; gives the paths of openrc and clouds.yaml."""
    openrc, clouds = settings.state_dir / "openrc", settings.state_dir / "clouds.yaml"
    envfile.write_private(openrc, render_openrc(settings))
    envfile.write_private(clouds, render_clouds(settings))
    owner = os.environ.get("SUDO_UID", "")
    if owner.isdigit():
        for path in (openrc, clouds):
            os.chown(path, int(owner), -1)
    return openrc, clouds


def render_openrc(settings: Settings) -> str:
    """Variables for a shell."""
    values = {
        "OS_AUTH_URL": f"{settings['PUBLIC_URL']}/identity/v3",
        "OS_USERNAME": "admin",
        "OS_PASSWORD": settings["ADMIN_PASSWORD"],
        "OS_PROJECT_NAME": "admin",
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_REGION_NAME": settings.get("REGION", "RegionOne"),
        "OS_IDENTITY_API_VERSION": "3",
        "OS_INTERFACE": "public",
        **({"OS_CACERT": settings.ca_file} if settings.has_tls else {}),
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def render_clouds(settings: Settings) -> str:
    """The cloud `kilonova` for OS_CLOUD. JSON strings are YAML strings, whatever a password holds."""
    auth = {
        "auth_url": f"{settings['PUBLIC_URL']}/identity/v3",
        "username": "admin",
        "password": settings["ADMIN_PASSWORD"],
        "project_name": "admin",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
    lines = ["clouds:", f"  {CLOUD_NAME}:", "    auth:"]
    lines += [f"      {name}: {json.dumps(value)}" for name, value in auth.items()]
    lines += [f"    region_name: {json.dumps(settings.get('REGION', 'RegionOne'))}", "    identity_api_version: 3"]
    lines += [f"    cacert: {json.dumps(settings.ca_file)}"] if settings.has_tls else []
    return "\n".join([*lines, ""])
