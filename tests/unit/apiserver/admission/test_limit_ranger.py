"""LimitRanger: defaults with their annotation, bounds and ratios in upstream's words, and the claims' own bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.listers import FakeListers

from steersman.api.defaults.core import limit_range as set_defaults
from steersman.api.resources import LIMIT_RANGES, PERSISTENT_VOLUME_CLAIMS, PODS
from steersman.apiserver.admission.limit_ranger import LimitRanger
from steersman.apiserver.contracts import AdmissionRequest, UserInfo
from steersman.apiserver.lookup import Lookup
from steersman.machinery.errors import Forbidden
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj


def limit_range(kind: str = "Container", name: str = "limits", **fields: Any) -> Obj:
    made = {"metadata": {"name": name, "namespace": "default"}, "spec": {"limits": [{"type": kind, **fields}]}}
    set_defaults(made)
    return made


def container(name: str = "c", requests: Obj | None = None, limits: Obj | None = None) -> Obj:
    resources = {field: amounts for field, amounts in (("requests", requests), ("limits", limits)) if amounts}
    return {"name": name, **({"resources": resources} if resources else {})}


def pod(*containers: Obj, **spec: Any) -> Obj:
    return {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": list(containers), **spec}}


def claim(storage: str) -> Obj:
    spec = {"resources": {"requests": {"storage": storage}}}
    return {"metadata": {"name": "p", "namespace": "default"}, "spec": spec}


def run(obj: Obj, *ranges: Obj, resource: Resource = PODS, operation: str = "CREATE", subresource: str = "") -> str:
    """Admits in place; "" or the refusal."""
    plugin = LimitRanger(Lookup(FakeListers(*((LIMIT_RANGES, item) for item in ranges))))
    old = obj if operation == "UPDATE" else None
    request = AdmissionRequest(operation, resource, subresource, "default", "p", obj, old, UserInfo("jane"))

    async def scenario() -> None:
        await plugin.admit(request)
        await plugin.validate(request)

    try:
        asyncio.run(scenario())
    except Forbidden as error:
        return error.message
    return ""


def test_what_containers_do_not_say_is_filled_in_and_told() -> None:
    made = pod(container("a"), container("b", {"cpu": "1"}), initContainers=[container("i", limits={"memory": "9Mi"})])
    limits = limit_range(default={"cpu": "2", "memory": "64Mi"}, defaultRequest={"cpu": "100m"})
    assert run(made, limits) == ""
    resources = [item["resources"] for item in (*made["spec"]["containers"], *made["spec"]["initContainers"])]
    assert resources == [
        {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "64Mi"}},
        {"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "64Mi"}},
        {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "9Mi"}},
    ]
    assert made["metadata"]["annotations"] == {
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu, memory request for container a; cpu, memory limit for "
        "container a; memory request for container b; cpu, memory limit for container b; cpu, memory request for init "
        "container i; cpu limit for init container i"
    }


def test_a_pod_that_says_everything_is_left_as_it_is() -> None:
    made = pod(container("a", {"cpu": "1"}, {"cpu": "1"}))
    assert run(made, limit_range(default={"cpu": "2"}, defaultRequest={"cpu": "100m"})) == ""
    assert "annotations" not in made["metadata"] and made["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1"}


REFUSED: list[tuple[Obj, Obj, str]] = [
    (pod(container(requests={"cpu": "1m"})), limit_range(min={"cpu": "5m"}),
     "minimum cpu usage per Container is 5m, but request is 1m"),
    (pod(container(requests={"cpu": "5m"}, limits={"cpu": "4m"})), limit_range(min={"cpu": "5m"}),
     "minimum cpu usage per Container is 5m, but limit is 4m"),
    (pod(container()), limit_range("Pod", min={"cpu": "5m"}), "minimum cpu usage per Pod is 5m.  No request is specified"),
    (pod(container(limits={"memory": "2Gi"})), limit_range(max={"memory": "1Gi"}),
     "maximum memory usage per Container is 1Gi, but limit is 2Gi"),
    (pod(container(requests={"memory": "2Gi"}, limits={"memory": "1Gi"})), limit_range(max={"memory": "1Gi"}),
     "maximum memory usage per Container is 1Gi, but request is 2Gi"),
    (pod(container(requests={"cpu": "1"})), limit_range("Pod", max={"cpu": "2"}),
     "maximum cpu usage per Pod is 2.  No limit is specified"),
    (pod(container("a", limits={"cpu": "1500m"}), container("b", limits={"cpu": "1"})), limit_range("Pod", max={"cpu": "2"}),
     "maximum cpu usage per Pod is 2, but limit is 2500m"),
    (pod(container(limits={"cpu": "1"}), initContainers=[container("i", limits={"cpu": "3"})]),
     limit_range("Pod", max={"cpu": "2"}), "maximum cpu usage per Pod is 2, but limit is 3"),
    (pod(container(requests={"cpu": "100m"}, limits={"cpu": "250m"})), limit_range(maxLimitRequestRatio={"cpu": "2"}),
     "cpu max limit to request ratio per Container is 2, but provided ratio is 2.500000"),
    (pod(container(limits={"cpu": "250m"})), limit_range(maxLimitRequestRatio={"cpu": "2"}),
     "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"),
    (pod(container(requests={"cpu": "250m"})), limit_range(maxLimitRequestRatio={"cpu": "2"}),
     "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0"),
    (pod(container(limits={"cpu": "9", "memory": "9Gi"})), limit_range(max={"memory": "1Gi", "cpu": "1"}),
     "[maximum cpu usage per Container is 1, but limit is 9, maximum memory usage per Container is 1Gi, but limit is 9Gi]"),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "limits", "told"), REFUSED, ids=[case[2] for case in REFUSED])
def test_what_is_out_of_bounds_is_refused(obj: Obj, limits: Obj, told: str) -> None:
    assert run(obj, limits) == f'pods "p" is forbidden: {told}'


def test_overhead_is_not_the_containers_to_answer_for() -> None:
    made = pod(container(limits={"cpu": "2"}), overhead={"cpu": "1"})
    assert run(made, limit_range("Pod", max={"cpu": "2"})) == ""


@pytest.mark.parametrize(
    ("storage", "told"),
    [
        ("5Gi", ""),
        ("1Gi", "minimum storage usage per PersistentVolumeClaim is 2Gi, but request is 1Gi"),
        ("11Gi", "maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 11Gi"),
    ],
)
def test_claims_have_bounds_when_made_and_when_they_grow(storage: str, told: str) -> None:
    limits = limit_range("PersistentVolumeClaim", min={"storage": "2Gi"}, max={"storage": "10Gi"})
    expected = f'persistentvolumeclaims "p" is forbidden: {told}' if told else ""
    for operation in ("CREATE", "UPDATE"):
        assert run(claim(storage), limits, resource=PERSISTENT_VOLUME_CLAIMS, operation=operation) == expected


def test_a_running_pod_is_asked_about_when_it_is_resized_only() -> None:
    limits = limit_range(max={"cpu": "1"}, default={"cpu": "1"}, defaultRequest={"cpu": "1"})
    made = pod(container(requests={"cpu": "2"}, limits={"cpu": "2"}))
    assert run(made, limits, operation="UPDATE") == ""
    assert run(made, limits, operation="UPDATE", subresource="status") == ""
    assert "maximum cpu usage" in run(made, limits, operation="UPDATE", subresource="resize")


def test_a_range_that_was_made_just_before_counts() -> None:
    listers = FakeListers()
    listers.late.append((LIMIT_RANGES, limit_range(default={"cpu": "2"})))
    made = pod(container())
    asyncio.run(
        LimitRanger(Lookup(listers)).admit(AdmissionRequest("CREATE", PODS, "", "default", "p", made, None, UserInfo("jane")))
    )
    assert made["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "2"}


def test_every_range_of_the_namespace_counts() -> None:
    ranges = [limit_range(name="a", max={"cpu": "2"}), limit_range("Pod", name="b", max={"cpu": "3"})]
    assert run(pod(container("a", limits={"cpu": "2"})), *ranges) == ""
    two = pod(container("a", limits={"cpu": "2"}), container("b", limits={"cpu": "2"}))
    assert "per Pod is 3, but limit is 4" in run(two, *ranges)
