"""Identity's addresses, relative to `/identity`; each with and without a trailing slash, without redirects.

An id is whatever has no slash and no control character: names are tried as ids by clients, and must end in 404.
"""

from __future__ import annotations

from django.urls import re_path

from cloud.identity.api.views import catalog, discovery, projects, roles, tokens, users


def _id(name: str) -> str:
    return rf"(?P<{name}>[^/\x00-\x1f\x7f]+)"


_SCOPED = rf"^/v3/(?P<kind>projects|domains)/{_id('target_id')}/users/{_id('user_id')}/roles"
_SYSTEM = rf"^/v3/(?P<kind>system)/users/{_id('user_id')}/roles"

urlpatterns = [
    re_path(r"^/?$", discovery.VersionsView.as_view()),
    re_path(r"^/v3/?$", discovery.VersionView.as_view()),
    re_path(r"^/v3/auth/tokens/?$", tokens.TokensView.as_view()),
    re_path(r"^/v3/auth/catalog/?$", tokens.CatalogView.as_view()),
    re_path(r"^/v3/auth/projects/?$", tokens.OwnProjectsView.as_view()),
    re_path(r"^/v3/auth/domains/?$", tokens.OwnDomainsView.as_view()),
    re_path(r"^/v3/auth/system/?$", tokens.OwnSystemView.as_view()),
    re_path(r"^/v3/domains/?$", projects.DomainsView.as_view()),
    re_path(rf"^/v3/domains/{_id('domain_id')}/?$", projects.DomainView.as_view()),
    re_path(r"^/v3/projects/?$", projects.ProjectsView.as_view()),
    re_path(rf"^/v3/projects/{_id('project_id')}/?$", projects.ProjectView.as_view()),
    re_path(r"^/v3/users/?$", users.UsersView.as_view()),
    re_path(rf"^/v3/users/{_id('user_id')}/?$", users.UserView.as_view()),
    re_path(rf"^/v3/users/{_id('user_id')}/password/?$", users.PasswordView.as_view()),
    re_path(rf"^/v3/users/{_id('user_id')}/projects/?$", users.UserProjectsView.as_view()),
    re_path(rf"^/v3/users/{_id('user_id')}/groups/?$", users.UserGroupsView.as_view()),
    re_path(r"^/v3/roles/?$", roles.RolesView.as_view()),
    re_path(rf"^/v3/roles/{_id('role_id')}/?$", roles.RoleView.as_view()),
    re_path(rf"{_SCOPED}/?$", roles.HeldRolesView.as_view()),
    re_path(rf"{_SCOPED}/{_id('role_id')}/?$", roles.HeldRoleView.as_view()),
    re_path(rf"{_SYSTEM}/?$", roles.HeldRolesView.as_view()),
    re_path(rf"{_SYSTEM}/{_id('role_id')}/?$", roles.HeldRoleView.as_view()),
    re_path(r"^/v3/role_assignments/?$", roles.AssignmentsView.as_view()),
    re_path(r"^/v3/services/?$", catalog.ServicesView.as_view()),
    re_path(rf"^/v3/services/{_id('service_id')}/?$", catalog.ServiceView.as_view()),
    re_path(r"^/v3/endpoints/?$", catalog.EndpointsView.as_view()),
    re_path(rf"^/v3/endpoints/{_id('endpoint_id')}/?$", catalog.EndpointView.as_view()),
    re_path(r"^/v3/regions/?$", catalog.RegionsView.as_view()),
    re_path(rf"^/v3/regions/{_id('region_id')}/?$", catalog.RegionView.as_view()),
    re_path(r"^/v3/credentials/?$", catalog.EmptyView.as_view(key="credentials")),
    re_path(r"^/v3/groups/?$", catalog.EmptyView.as_view(key="groups")),
]
