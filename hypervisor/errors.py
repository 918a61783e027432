"""What can go wrong on a compute host, each with what the engine does next (see `cloud.errors`)."""

from __future__ import annotations

from typing import ClassVar

from cloud.errors import Abort, Reschedule, Retry


class ImageUnreachable(Retry):
    """The image service did not answer, or cut the download short."""

    code = "image.unreachable"


class ImageRefused(Abort):
    """The image's bytes are not what the catalogue says (checksum, size, format) or name files outside themselves."""

    code = "image.refused"


class UploadFailed(Retry):
    """The image service did not take an image that was made here: it did not answer, or broke off."""

    code = "image.upload_failed"


class UploadRefused(Abort):
    """The image service does not want an image that was made here: it is gone, too large, or not what it says."""

    code = "image.upload_refused"


class DiskTooSmall(Abort):
    """The flavor's disk is smaller than the image."""

    code = "disk.too_small"


class DiskMissing(Reschedule):
    """The instance's disk is not where it was said to be; nothing is made in its place."""

    code = "disk.missing"


class NoSpace(Reschedule):
    """The host's disk is full."""

    code = "host.no_space"


class HypervisorFailed(Reschedule):
    """libvirt or QEMU refused; another host may not."""

    code = "hypervisor.failed"


class DiskUnmovable(Abort):
    """The disk stands on something that is no base image, or is larger than the new flavor's: it cannot go along."""

    code = "disk.unmovable"


class DiskLost(Abort):
    """What a move set aside is not there any more."""

    code = "disk.lost"


class CopyDamaged(Retry):
    """What came from another host is not what that host has: size or SHA-256 differ."""

    code = "disk.copy_damaged"


class PeerUnreachable(Retry):
    """The hypervisor of another host does not answer, or broke off."""

    code = "host.peer_unreachable"


class HypervisorUnreachable(Retry):
    """libvirtd does not answer, or went away in the middle of a call; it is restarted by whoever supervises it."""

    code = "hypervisor.unreachable"


class NetworkFailed(Reschedule):
    """The host could not make the network or the interface."""

    code = "hypervisor.network_failed"


class StepUnknown(Abort):
    """A step that cannot see its own effect was interrupted: nobody knows whether it happened."""

    code = "step.unknown"


class HostBroken(Reschedule):
    """An error that no step foresaw, on this host."""

    code = "host.broken"


class GuestNotFound(Abort):
    """The host knows no such guest."""

    code = "guest.not_found"


class AgentSilent(Abort):
    """The agent inside the guest is not there, does not answer, or refused."""

    code = "guest.agent_silent"


class GuestOff(Abort):
    """The guest does not run, and what was asked for needs one that does."""

    code = "guest.off"


class Superseded(Exception):
    """A higher turn has been seen for this target: whoever gets this stops at once and reports nothing."""

    code: ClassVar[str] = "step.superseded"
