"""`./kilonova up`, from the state directory to the boot of `hello`. Each step looks first, and does what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cloud.embedded import (
    client_files,
    database,
    demo,
    enroll,
    fingerprint,
    guest_image,
    leftovers,
    libvirtd,
    ports,
    redis,
    seed,
    state,
    supervisor,
    tls,
    waiting,
)
from cloud.embedded import settings as settings_
from cloud.embedded.programs import programs, tool
from cloud.embedded.progress import Console
from cloud.embedded.rest import Cloud
from cloud.embedded.settings import Settings


def up(settings: Settings, console: Console, *, with_demo: bool, with_seed: bool) -> None:
    """Brings the cloud up and says how to use it. Running it again is safe, and quick when all is there."""
    state.prepare(settings)
    with state.one_at_a_time(settings):
        settings, cloud = bring_up(settings, console)
        server = None
        if with_seed:
            image_id, network_id = fill(settings, cloud, console)
            if with_demo:
                server = demo.ensure(settings, cloud, console, image_id=image_id, network_id=network_id)
        openrc, clouds = client_files.write(settings)
    _say_how_to_go_on(settings, console, openrc, clouds, has_demo=server is not None)


def bring_up(settings: Settings, console: Console) -> tuple[Settings, Cloud]:
    """Starts what this machine runs and waits until all of it is up; gives the settings with what was made for them."""
    settings = _prepare(settings, console)
    _start(settings, console)
    return settings, _wait(settings, console)


# --- before anything runs -------------------------------------------------------------------------------------------


def _prepare(settings: Settings, console: Console) -> Settings:
    is_new = not settings.env_file.exists()
    if not supervisor.is_up(settings):
        ended = leftovers.end(settings)
        if ended:
            console.done("processes without a supervisor", f"ended {', '.join(sorted(set(ended.values())))}")
        ports.check_free(settings)
    settings_.remember(settings)
    console.done(f"state directory {settings.state_dir}", "secrets made" if is_new else "")
    if tls.ensure(settings):
        console.done(f"certificates in {settings.tls_dir}", f"for {', '.join(tls.names(settings))}")
    if fingerprint.remembered(settings) != fingerprint.current(settings) or _database_is_missing(settings):
        settings = _prepare_database(settings, console)
    return settings


def _database_is_missing(settings: Settings) -> bool:
    prefix, _, path = settings["DATABASE_URL"].partition(":///")
    return prefix == "sqlite" and not Path(path).exists()


def _prepare_database(settings: Settings, console: Console) -> Settings:
    fingerprint.forget(settings)
    with console.step("database: migrate"):
        database.run(settings, "migrate", "--no-input", "-v", "1")
    with console.step("identity: domain, roles, user admin"):
        database.run(settings, "bootstrap")
    if settings.hosts:
        with console.step(f"compute host {settings['KILONOVA_HOST']}: enrol"):
            settings = enrol(settings)
            settings_.remember(settings)
    return settings


def enrol(settings: Settings) -> Settings:
    """Makes this machine's compute hosts known to the cloud; gives the settings with their keys."""
    # Redis may not run yet: the user of this machine's host is in the file that it starts with.
    own = ["--no-broker-user"] if settings.has_embedded_broker or not settings.has_one_host else []
    keys = enroll.keys_of(settings, settings.hosts, *own)
    return replace(settings, kept={**settings.kept, "KILONOVA_HOST_KEY": ",".join(keys)})


# --- the processes --------------------------------------------------------------------------------------------------


def _start(settings: Settings, console: Console) -> None:
    wanted = programs(settings)
    has_new_config = supervisor.write_config(settings, wanted)
    has_new_broker = redis.write_config(settings)
    names = " ".join(program.name for program in wanted)
    if supervisor.is_up(settings) and not has_new_config:
        if fingerprint.remembered(settings) == fingerprint.current(settings) and not has_new_broker:
            console.done("processes", f"running: {names}")
        else:
            with console.step("processes: restart on changed code or settings"):
                supervisor.restart_cloud(settings, with_broker=has_new_broker)
    else:
        if any(daemon.name in names.split() for daemon in libvirtd.DAEMONS):
            libvirtd.let_qemu_see_kvm()
        if supervisor.is_up(settings):
            with console.step("processes: stop, for a changed configuration"):
                supervisor.stop(settings)
            ports.check_free(settings)
        with console.step("processes") as step:
            step.note(names)
            supervisor.start(settings)
    fingerprint.remember(settings)
    if settings.uses_libvirt_here:
        with console.step("libvirt") as step:
            step.note("waiting for it to answer")
            libvirtd.wait(settings["LIBVIRT_URI"])
            ours = [daemon.name for daemon in libvirtd.DAEMONS if daemon.name in names.split()]
            step.note("answers" + (f"; {' and '.join(ours)} run by this cloud" if ours else "; it ran already"))


def _wait(settings: Settings, console: Console) -> Cloud:
    with console.step(f"API at {settings['PUBLIC_URL']}") as step:
        waiting.for_api(settings, step)
    cloud = Cloud(settings)
    if settings.hosts:
        with console.step(f"compute host {settings['KILONOVA_HOST']}") as step:
            waiting.for_hosts(settings, cloud, step)
            step.note("up")
    return cloud


# --- what a fresh cloud has -----------------------------------------------------------------------------------------


def fill(
    settings: Settings, cloud: Cloud, console: Console, flavors: Sequence[seed.Flavor] = seed.FLAVORS
) -> tuple[str, str]:
    """Registers the tiny image, makes flavors and the network, where absent; gives the ids of image and network."""
    tiny = settings.state_dir / "tiny"
    if not guest_image.is_current(tiny):
        with console.step("tiny guest image: build it from Debian packages"):
            guest_image.ensure(tiny)
    with console.step(f"image {seed.IMAGE}") as step:
        image_id, is_new = seed.image(cloud, guest_image.path(tiny))
        step.note("registered" if is_new else "is there")
    with console.step("flavors") as step:
        made = seed.flavors(cloud, flavors)
        step.note(f"made {' '.join(made)}" if made else "are there")
    with console.step(f"network {seed.NETWORK}") as step:
        network_id, cidr = seed.network(settings, cloud)
        step.note(f"made, {cidr}" if cidr else "is there")
    return image_id, network_id


# --- how to go on ---------------------------------------------------------------------------------------------------


def _say_how_to_go_on(settings: Settings, console: Console, openrc: Path, clouds: Path, *, has_demo: bool) -> None:
    public = settings["PUBLIC_URL"]
    client = Path(tool("openstack"))
    has_client = client.exists()
    command = client if has_client else "openstack"
    install = [] if has_client else ["  pip install python-openstackclient   # `./kilonova test` puts one into .venv"]
    use = [
        *install,
        f"  export OS_CLIENT_CONFIG_FILE={clouds} OS_CLOUD=kilonova      # or: . {openrc}",
        f"  {command} server list",
        f"  {command} {f'console log show {demo.NAME}' if has_demo else 'compute service list'}",
    ]
    newline = "\n"  # Python 3.11 takes no backslash inside an f-string's braces
    text = f"""
Kilonova is up.
  API     {public}    (identity {public}/identity/v3)
  admin   {public}/admin/    user admin, ADMIN_PASSWORD in {settings.env_file}
  Flower  {settings["FLOWER_URL"]}    user admin, FLOWER_PASSWORD in the same file

With the openstack client:
{newline.join(use)}

./kilonova status shows how it is, ./kilonova logs what it says, ./kilonova down stops it, ./kilonova help the rest."""
    console.line(text)
