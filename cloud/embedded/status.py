"""`./kilonova status`: each process, the API, the services, the instances; and whether anything is down."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from cloud.embedded import supervisor, waiting
from cloud.embedded.progress import Console
from cloud.embedded.rest import Cloud
from cloud.embedded.settings import Settings
from cloud.embedded.supervisor import ProcessState
from cloud.embedded.trouble import Trouble


def status(settings: Settings, console: Console) -> bool:
    """Prints it all; True when everything is as it should be."""
    processes = supervisor.processes(settings)
    if not processes:
        console.line(f"✗ the cloud in {settings.state_dir} is stopped; `./kilonova up` starts it")
        return False
    checks = [_say_process(process, console) for process in processes]
    well, said = waiting.health(settings)
    console.line(f"{_mark(well)} API {settings['PUBLIC_URL']}: {said}")
    checks.append(well)
    if well:
        checks.append(_say_cloud(settings, console))
    return all(checks)


def _say_process(process: ProcessState, console: Console) -> bool:
    if process.is_running:
        about = f"pid {process.pid:<7} up {duration(time.time() - process.since)}"
        if _stands_by(process):
            about += "  stands by: another cloud on this machine runs it"
    else:
        about = process.description
    console.line(f"{_mark(process.is_running)} {process.name:<12} {process.state.lower():<9} {about}")
    return process.is_running


def _stands_by(process: ProcessState) -> bool:
    """Whether the process still waits for its daemon's lock (see libvirtd.py)."""
    try:
        return Path(f"/proc/{process.pid}/comm").read_text().strip() == "flock"
    except OSError:
        return False


def _say_cloud(settings: Settings, console: Console) -> bool:
    try:
        cloud = Cloud(settings)
        services = cloud.get("/compute/v2.1/os-services")["services"]
        servers = cloud.get("/compute/v2.1/servers/detail?all_tenants=true")["servers"]
    except Trouble as trouble:
        console.line(trouble.report())
        return False
    for service in services:
        is_up = service["state"] == "up"
        disabled = "" if service["status"] == "enabled" else f", {service['status']}"
        console.line(f"{_mark(is_up)} service {service['binary']} on {service['host']}: {service['state']}{disabled}")
    counts = Counter(server["status"] for server in servers)
    by_status = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    console.line(f"  instances: {by_status or 'none'}")
    return bool(services) and all(service["state"] == "up" for service in services)


def _mark(is_well: bool) -> str:
    return "✓" if is_well else "✗"


def duration(seconds: float) -> str:
    """12 s, 3 min, 2 h 5 min, 3 d 4 h."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{max(0, int(seconds))} s"
