"""libvirt's errors as ours: what is understood gets its type, the rest becomes the error that the caller names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import libvirt

from cloud.errors import StepError
from hypervisor.errors import HypervisorFailed, HypervisorUnreachable, NoSpace

_TRANSPORT = (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)
_BROKEN = (
    libvirt.VIR_ERR_SYSTEM_ERROR,
    libvirt.VIR_ERR_INTERNAL_ERROR,
    libvirt.VIR_ERR_INVALID_CONN,
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_RPC,
)
_ABSENT = (
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_NO_NETWORK,
    libvirt.VIR_ERR_NO_DOMAIN_METADATA,
    libvirt.VIR_ERR_NO_NWFILTER,
)


def is_lost(error: libvirt.libvirtError) -> bool:
    """The connection broke: the call may have happened or not."""
    return error.get_error_code() in _BROKEN and (
        error.get_error_domain() in _TRANSPORT or error.get_error_code() == libvirt.VIR_ERR_INVALID_CONN
    )


def is_absent(error: libvirt.libvirtError) -> bool:
    """libvirt knows no such domain, network, filter or metadata."""
    return error.get_error_code() in _ABSENT


def is_out_of_state(error: libvirt.libvirtError) -> bool:
    """The call does not fit the object's state now: "already active", "is not running". Probe again."""
    return error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID


def is_full(error: libvirt.libvirtError) -> bool:
    """The host's disk is full."""
    return "No space left on device" in str(error)


@contextmanager
def understood(doing: str, otherwise: type[StepError] = HypervisorFailed) -> Iterator[None]:
    """Turns a libvirt error inside it into one of ours, whose message begins with what was being done.

    Errors: HypervisorUnreachable, when libvirtd went away; NoSpace; `otherwise` for the rest, with libvirt's message.
    """
    try:
        yield
    except libvirt.libvirtError as error:
        message = f"{doing}: {error.get_error_message() or error}"
        context = {"libvirt_code": error.get_error_code(), "libvirt_domain": error.get_error_domain()}
        if is_lost(error):
            raise HypervisorUnreachable(message, **context) from error
        if is_full(error):
            raise NoSpace(message, **context) from error
        raise otherwise(message, **context) from error
