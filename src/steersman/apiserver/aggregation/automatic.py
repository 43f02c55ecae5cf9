"""The APIServices that the server makes by itself, of all it serves: pure. aggregator.py writes them.

Source: upstream pkg/controlplane/apiserver/aggregator.go, kube-aggregator/pkg/controllers/autoregister.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from steersman.api.resources import API_SERVICES
from steersman.apiserver.discovery import group_priority
from steersman.machinery.meta import Obj, labels_of, name_of

MANAGED = "kube-aggregator.kubernetes.io/automanaged"
ONCE, ALWAYS = "onstart", "true"
"""Built-in groups are written when the server starts, groups of custom resources as long as they are served."""
_GIVEN_BACK = "metrics.k8s.io"
"""Built in here and nowhere else: metrics-server may take the group, and when it goes the group is this server's again."""

Place = tuple[str, str]
"""Group and version."""

_CUSTOM = (1000, 100)
_VERSION = 15
_VERSIONS = {
    ("", "v1"): 1,
    ("autoscaling", "v2"): 30,
    ("flowcontrol.apiserver.k8s.io", "v1"): 21,
    ("metrics.k8s.io", "v1beta1"): 100,
}


def name_for(group: str, version: str) -> str:
    """
    >>> name_for("", "v1"), name_for("apps", "v1")
    ('v1.', 'v1.apps')
    """
    return f"{version}.{group}"


def local(place: Place, *, custom: bool) -> Obj:
    """The APIService of a group-version that is served here."""
    group, version = place
    first, second = _CUSTOM if custom else (group_priority(group), _VERSIONS.get((group, version), _VERSION))
    managed = ALWAYS if custom or group == _GIVEN_BACK else ONCE
    spec: Obj = {"version": version, "groupPriorityMinimum": first, "versionPriority": second}
    if group:
        spec["group"] = group
    return {
        "apiVersion": API_SERVICES.api_version,
        "kind": API_SERVICES.kind,
        "metadata": {"name": name_for(group, version), "labels": {MANAGED: managed}},
        "spec": spec,
    }


def changes(served: Mapping[Place, bool], found: Iterable[Obj], *, first: bool) -> tuple[list[Obj], list[Obj], list[str]]:
    """(to create, to update, names to delete). `served`: whether it is a custom resource's; `first`: the server starts."""
    wanted = {name_for(*place): local(place, custom=custom) for place, custom in served.items()}
    present = {name_of(obj): obj for obj in found}
    managed = (ONCE, ALWAYS) if first else (ALWAYS,)
    create = [obj for name, obj in wanted.items() if name not in present and labels_of(obj)[MANAGED] in managed]
    update: list[Obj] = []
    delete: list[str] = []
    for name, obj in present.items():
        if labels_of(obj).get(MANAGED) not in managed or obj["spec"].get("service") is not None:
            continue
        ours = wanted.get(name)
        if ours is None:
            delete.append(name)
        elif obj["spec"] != ours["spec"]:
            update.append({**obj, "spec": ours["spec"]})
    return create, update, delete
