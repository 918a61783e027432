"""The doctor's page in the operator's console: what is wrong now, and a button for each repair that is safe.

Nothing that the browser sends is believed but which finding is meant: the cloud is examined anew before it is repaired.
"""

from __future__ import annotations

import logging

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from instances.doctor.examination import examine
from instances.doctor.repair import repair

log = logging.getLogger(__name__)

_HOST_PATIENCE = 3.0  # seconds, of somebody who looks at a browser
_ACTION_PATIENCE = 10.0
_ALL = "all"


@require_http_methods(["GET", "HEAD", "POST"])
def doctor_page(request: HttpRequest) -> HttpResponse:
    """GET: the findings. POST, for superusers: repairs the one whose key is `finding`, or with `all` each safe one."""
    if request.method == "POST":
        return _repair(request)
    examination = examine(patience=_HOST_PATIENCE)
    found = {
        **admin.site.each_context(request),
        "title": "Doctor",
        "examination": examination,
        "hosts": sorted((name, str(state)) for name, state in examination.hosts.items()),
        "may_repair": _may_repair(request),
        "is_any_safe": any(finding.code.is_safe for finding in examination.findings),
    }
    return render(request, "doctor/page.html", found)


def _may_repair(request: HttpRequest) -> bool:
    """As other verbs of the console: only a superuser acts here; other staff may look."""
    return bool(request.user.is_superuser)


def _repair(request: HttpRequest) -> HttpResponse:
    if not _may_repair(request):
        raise PermissionDenied
    key = request.POST.get("finding", "")
    examination = examine(patience=_HOST_PATIENCE)
    wanted = [finding for finding in examination.findings if key in (finding.key, _ALL) and finding.code.is_safe]
    if not wanted:
        messages.info(request, "It is not there any more.")
    repairs = repair(examination, only=[finding.key for finding in wanted], patience=_ACTION_PATIENCE)
    log.warning("user %s repaired %d of %d findings", request.user.pk, len(repairs.fixed), len(wanted))
    for finding in wanted:
        if finding.key in repairs.fixed:
            messages.success(request, f"{finding.code.name}: {finding.detail} Repaired.")
        else:
            messages.error(request, f"{finding.code.name}: {finding.detail} Left: {repairs.left[finding.key]}")
    return HttpResponseRedirect(reverse("doctor"))
