"""Compute's addresses, relative to `/compute`; each with and without a trailing slash, without redirects.

An id is whatever has no slash and no control character: names are tried as ids by clients, and must end in 404.
Hosts, services and zones are in `scheduling.api.urls`, which is asked first.
"""

from __future__ import annotations

from django.urls import URLPattern, re_path

from cloud.api.views import ComputeView
from instances.api.views import (
    collections,
    flavors,
    instance_actions,
    interfaces,
    keypairs,
    migrations,
    quota_sets,
    server_actions,
    server_metadata,
    server_tags,
    servers,
    versions,
)

_VERSION = r"^/v2(?:\.1)?"


def _at(path: str, view: type[ComputeView]) -> URLPattern:
    """The view at `path`, where `<name>` stands for one segment."""
    pattern = path.replace("<", "(?P<").replace(">", r">[^/\x00-\x1f\x7f]+)")
    return re_path(rf"{_VERSION}/{pattern}/?$", view.as_view())


_SERVER = "servers/<server_id>"
_FLAVOR = "flavors/<flavor_id>"

urlpatterns = [
    re_path(r"^/?$", versions.VersionsView.as_view()),
    re_path(r"^/v(?P<number>2(?:\.1)?)/?$", versions.VersionView.as_view()),
    _at("extensions", collections.ExtensionsView),
    _at("extensions/<alias>", collections.ExtensionsView),
    _at("servers", servers.ServersView),
    _at("servers/detail", servers.ServersDetailView),
    _at(_SERVER, servers.ServerView),
    _at(f"{_SERVER}/action", server_actions.ServerActionView),
    _at(f"{_SERVER}/metadata", server_metadata.MetadataView),
    _at(f"{_SERVER}/metadata/<key>", server_metadata.MetadataItemView),
    _at(f"{_SERVER}/tags", server_tags.TagsView),
    _at(f"{_SERVER}/tags/<tag>", server_tags.TagView),
    _at(f"{_SERVER}/ips", interfaces.IpsView),
    _at(f"{_SERVER}/ips/<network>", interfaces.IpsView),
    _at(f"{_SERVER}/os-interface", interfaces.InterfacesView),
    _at(f"{_SERVER}/os-interface/<port_id>", interfaces.InterfaceView),
    _at(f"{_SERVER}/os-security-groups", interfaces.SecurityGroupsView),
    _at(f"{_SERVER}/os-instance-actions", instance_actions.InstanceActionsView),
    _at(f"{_SERVER}/os-instance-actions/<request_id>", instance_actions.InstanceActionView),
    _at("os-migrations", migrations.MigrationsView),
    _at("flavors", flavors.FlavorsView),
    _at("flavors/detail", flavors.FlavorsDetailView),
    _at(_FLAVOR, flavors.FlavorView),
    _at(f"{_FLAVOR}/action", flavors.FlavorActionView),
    _at(f"{_FLAVOR}/os-flavor-access", flavors.FlavorAccessView),
    _at(f"{_FLAVOR}/os-extra_specs", flavors.ExtraSpecsView),
    _at(f"{_FLAVOR}/os-extra_specs/<key>", flavors.ExtraSpecView),
    _at("os-keypairs", keypairs.KeyPairsView),
    _at("os-keypairs/<name>", keypairs.KeyPairView),
    _at("limits", quota_sets.LimitsView),
    _at("os-quota-sets/<project_id>", quota_sets.QuotaSetView),
    _at("os-quota-sets/<project_id>/defaults", quota_sets.QuotaDefaultsView),
    _at("os-quota-sets/<project_id>/detail", quota_sets.QuotaDetailView),
    _at("os-quota-class-sets/<name>", quota_sets.QuotaClassView),
    _at("os-server-groups", collections.ServerGroupsView),
    _at("os-server-groups/<group_id>", collections.ServerGroupView),
    _at("os-aggregates", collections.AggregatesView),
    _at("os-aggregates/<aggregate_id>", collections.AggregateView),
]
