"""Names of kinds and of the resources that serve them: GroupVersionKind, Resource."""

from __future__ import annotations

import re
from typing import NamedTuple

_VERSION = re.compile(r"v([0-9]+)(?:(alpha|beta)([0-9]+))?")
_STAGE = {"": 2, "beta": 1, "alpha": 0}


class GroupVersionKind(NamedTuple):
    """A kind as objects name it. The core group is the empty string."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`: the apiVersion field of objects."""
        return api_version(self.group, self.version)


class Resource(NamedTuple):
    """A resource as URLs name it: what clients, informers and controllers address.

    >>> Resource("apps", "v1", "deployments").path("default", "web", "status")
    '/apis/apps/v1/namespaces/default/deployments/web/status'
    """

    group: str
    version: str
    plural: str
    namespaced: bool = True
    kind: str = ""

    @property
    def api_version(self) -> str:
        return api_version(self.group, self.version)

    @property
    def qualified(self) -> str:
        """`pods`, `deployments.apps`: the name used in messages."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path; a namespaced resource without a namespace means all namespaces. Parts are not escaped."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


def api_version(group: str, version: str) -> str:
    """The apiVersion field for a group and version."""
    return f"{group}/{version}" if group else version


def split_api_version(value: str) -> tuple[str, str]:
    """(group, version) of an apiVersion field; the inverse of `api_version`."""
    group, _, version = value.rpartition("/")
    return group, version


def version_priority(version: str) -> tuple[int, int, int, int, str]:
    """A key to sort by, newest and most stable first: v2, v1, v1beta2, v1alpha1, then names that are no Kubernetes version."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return (1, 0, 0, 0, version)
    major, stage, minor = found.groups()
    return (0, -_STAGE[stage or ""], -int(major), -int(minor or 0), "")
