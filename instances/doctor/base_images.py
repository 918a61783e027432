"""Findings about the caches of base images: files that are no image's, and that no disk stands on."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.conf import settings

from instances.doctor.finding import CacheClearing, Code, Finding
from instances.doctor.look import Look

UNKNOWN = Code(
    name="base_image.unknown",
    finds="a host's cache has a file that is no image's of the catalogue, and that no disk stands on",
    danger="It takes room that is given to others.",
    repair="It is removed, unless something asks for it meanwhile.",
    is_safe=True,
)
CODES = (UNKNOWN,)


def findings(look: Look) -> Iterator[Finding]:
    """All of this family. While actions are under way only files count that nothing asked for as long as an action may
    take: a disk on them may be about to be made."""
    youngest = time.time() if look.before.is_idle else time.time() - settings.ACTION_DEADLINE
    for host, holdings in look.hosts.items():
        for base in holdings.bases:
            if base.is_used or base.name in look.image_hashes or base.used_at > youngest:
                continue
            yield Finding(
                code=UNKNOWN,
                objects={"host": host, "base_image": base.name},
                detail=f"Host {host} has {base.name[:20]} ({base.size_bytes >> 20} MiB).",
                fix=CacheClearing(host=host, what={"base": base.name, "used_at": base.used_at}),
            )
