"""ResourceQuota: what is paid with which write, what is refused and in which words; nothing is paid twice or for nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.server import World, world

from steersman.api import quota as counting
from steersman.api.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
)
from steersman.machinery.errors import AlreadyExists, Forbidden, Invalid, StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj


def pod(name: str = "p", requests: Obj | None = None, limits: Obj | None = None, **spec: Any) -> Obj:
    container = {"name": "c", "image": "app", "resources": {"requests": requests or {}, "limits": limits or {}}}
    return of(PODS, name, spec={"containers": [container], **spec})


def of(resource: Resource, name: str, **rest: Any) -> Obj:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, **rest}


def service(name: str = "s", ports: int = 1, **spec: Any) -> Obj:
    listed = [{"name": f"p{number}", "port": 80 + number} for number in range(ports)]
    return of(SERVICES, name, spec={"ports": listed, **spec})


def claim(name: str = "c", storage: str = "1Gi", **spec: Any) -> Obj:
    resources = {"requests": {"storage": storage}}
    return of(PERSISTENT_VOLUME_CLAIMS, name, spec={"accessModes": ["ReadWriteOnce"], "resources": resources, **spec})


async def limited(here: World, hard: dict[str, str], name: str = "q", *, used: Obj | None = None, **spec: Any) -> None:
    """A quota as it is when the controller has counted that nothing is used, or `used`."""
    made = await here.client.create(RESOURCE_QUOTAS, of(RESOURCE_QUOTAS, name, spec={"hard": hard, **spec}), "default")
    counted = dict.fromkeys(hard, "0") | (used or {})
    await here.client.update(RESOURCE_QUOTAS, {**made, "status": {"hard": hard, "used": counted}}, subresource="status")


async def used(here: World, name: str = "q") -> Obj:
    found: Obj = (await here.client.get(RESOURCE_QUOTAS, name, "default"))["status"]["used"]
    return found


async def refused(here: World, resource: Resource, obj: Obj) -> str:
    """The refusal; "" if it is taken."""
    try:
        await here.client.create(resource, obj, "default")
    except Forbidden as error:
        return error.message
    return ""


PAID: list[tuple[str, dict[str, str], Resource, Obj, dict[str, str]]] = [
    ("a pod", {"pods": "5", "count/pods": "5"}, PODS, pod(), {"pods": "1", "count/pods": "1"}),
    (
        "a pod's compute resources",
        {"requests.cpu": "2", "cpu": "2", "memory": "1Gi", "limits.memory": "1Gi", "requests.ephemeral-storage": "1Gi"},
        PODS,
        pod(requests={"cpu": "500m", "memory": "64Mi", "ephemeral-storage": "1Mi"}, limits={"memory": "128Mi"}),
        {
            "requests.cpu": "500m", "cpu": "500m", "memory": "64Mi", "limits.memory": "128Mi",
            "requests.ephemeral-storage": "1Mi",
        },
    ),
    (
        "an extended resource",
        {"requests.example.com/gpu": "3"},
        PODS,
        pod(requests={"example.com/gpu": "2"}, limits={"example.com/gpu": "2"}),
        {"requests.example.com/gpu": "2"},
    ),
    ("a plain service", {"services": "5", "services.nodeports": "5"}, SERVICES, service(),
     {"services": "1", "services.nodeports": "0"}),
    ("a load balancer", {"services.loadbalancers": "1", "services.nodeports": "5"}, SERVICES,
     service(ports=2, type="LoadBalancer"), {"services.loadbalancers": "1", "services.nodeports": "2"}),
    ("a secret", {"secrets": "1", "count/secrets": "1"}, SECRETS, of(SECRETS, "s"), {"secrets": "1", "count/secrets": "1"}),
    ("a deployment", {"count/deployments.apps": "2", "count/deployments.other": "2"}, DEPLOYMENTS,
     of(DEPLOYMENTS, "d", spec={"selector": {"matchLabels": {"a": "b"}}, "template": {
         "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}),
     {"count/deployments.apps": "1", "count/deployments.other": "0"}),
    (
        "a claim of a class",
        {"persistentvolumeclaims": "2", "requests.storage": "5Gi", "gold.storageclass.storage.k8s.io/requests.storage": "5Gi",
         "tin.storageclass.storage.k8s.io/persistentvolumeclaims": "1"},
        PERSISTENT_VOLUME_CLAIMS,
        claim(storage="3Gi", storageClassName="gold"),
        {"persistentvolumeclaims": "1", "requests.storage": "3Gi", "gold.storageclass.storage.k8s.io/requests.storage": "3Gi",
         "tin.storageclass.storage.k8s.io/persistentvolumeclaims": "0"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("why", "hard", "resource", "obj", "expected"), PAID, ids=[case[0] for case in PAID])
def test_what_is_created_is_paid_at_once(
    why: str, hard: dict[str, str], resource: Resource, obj: Obj, expected: dict[str, str]
) -> None:
    async def scenario() -> None:
        async with world(quotas=True) as here:
            await limited(here, hard)
            assert await refused(here, resource, obj) == ""
            assert await used(here) == expected

    asyncio.run(scenario())


REFUSED: list[tuple[str, dict[str, str], Obj, Resource, Obj, str]] = [
    (
        "too many",
        {"pods": "1"},
        {"pods": "1"},
        PODS,
        pod(),
        'pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
    ),
    (
        "only what is exceeded is named, sorted",
        {"pods": "5", "requests.memory": "100Mi", "requests.cpu": "1"},
        {"requests.cpu": "750m"},
        PODS,
        pod(requests={"cpu": "500m", "memory": "200Mi"}),
        'pods "p" is forbidden: exceeded quota: q, requested: requests.cpu=500m,requests.memory=200Mi, '
        "used: requests.cpu=750m,requests.memory=0, limited: requests.cpu=1,requests.memory=100Mi",
    ),
    (
        "what is not stated",
        {"limits.cpu": "1", "memory": "1Gi", "requests.ephemeral-storage": "1Gi"},
        {},
        PODS,
        pod(requests={"memory": "1Mi"}, initContainers=[{"name": "a", "image": "app"}]),
        'pods "p" is forbidden: failed quota: q: must specify limits.cpu for: a,c; memory for: a',
    ),
    (
        "the volume of a class",
        {"gold.storageclass.storage.k8s.io/requests.storage": "1Gi"},
        {},
        PERSISTENT_VOLUME_CLAIMS,
        claim(storage="2Gi", storageClassName="gold"),
        'persistentvolumeclaims "c" is forbidden: exceeded quota: q, '
        "requested: gold.storageclass.storage.k8s.io/requests.storage=2Gi, "
        "used: gold.storageclass.storage.k8s.io/requests.storage=0, "
        "limited: gold.storageclass.storage.k8s.io/requests.storage=1Gi",
    ),
]


@pytest.mark.parametrize(("why", "hard", "taken", "resource", "obj", "told"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_is_too_much_is_refused_in_upstreams_words(
    why: str, hard: dict[str, str], taken: Obj, resource: Resource, obj: Obj, told: str
) -> None:
    async def scenario() -> None:
        async with world(quotas=True) as here:
            await limited(here, hard, used=taken)
            before = await used(here)
            assert await refused(here, resource, obj) == told
            assert await used(here) == before
            answer = await here.raw("POST", f"/api/v1/namespaces/default/{resource.plural}?dryRun=All", obj)
            assert answer.status == 403

    asyncio.run(scenario())


def test_nothing_is_taken_before_the_quota_was_counted() -> None:
    async def scenario() -> None:
        async with world(quotas=True) as here:
            await limited(here, {"pods": "5", "services": "5"})
            found = await here.client.get(RESOURCE_QUOTAS, "q", "default")
            del found["status"]["used"]["pods"]
            await here.client.update(RESOURCE_QUOTAS, found, subresource="status")
            assert "status unknown for quota: q, resources: pods" in await refused(here, PODS, pod())
            assert await refused(here, SERVICES, service()) == ""

    asyncio.run(scenario())


def test_only_quotas_whose_scopes_fit_are_charged_and_all_of_them() -> None:
    async def scenario() -> None:
        async with world(quotas=True) as here:
            pods = {"pods": "1"}
            await limited(here, pods, "all")
            await limited(here, pods, "best-effort", scopes=["BestEffort"])
            await limited(here, pods, "other", scopes=["NotBestEffort"])
            await limited(here, pods, "short", scopes=["Terminating"])
            expression = {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
            await limited(here, pods, "high", scopeSelector={"matchExpressions": [expression]})
            assert await refused(here, PODS, pod()) == ""
            names = ("all", "best-effort", "other", "short", "high")
            assert [(await used(here, name))["pods"] for name in names] == ["1", "1", "0", "0", "0"]
            assert "exceeded quota: all," in await refused(here, PODS, pod("q", requests={"cpu": "1"}))
            assert [(await used(here, name))["pods"] for name in names] == ["1", "1", "0", "0", "0"]

    asyncio.run(scenario())


def test_what_comes_into_a_scope_by_an_update_is_paid_there_at_once() -> None:
    async def scenario() -> None:
        async with world(quotas=True) as here:
            hard = {"pods": "1", "requests.cpu": "1"}
            await limited(here, hard, "terminating", scopes=["Terminating"])
            await limited(here, hard, "others", scopes=["NotTerminating"])
            made = await here.client.create(PODS, pod("p", {"cpu": "500m"}), "default")
            assert await used(here, "terminating") == {"pods": "0", "requests.cpu": "0"}
            made["metadata"]["labels"] = {"a": "b"}
            made = await here.client.update(PODS, made)
            made["spec"]["activeDeadlineSeconds"] = 60
            await here.client.update(PODS, made)
            assert await used(here, "terminating") == {"pods": "1", "requests.cpu": "500m"}
            another = pod("q", {"cpu": "1m"}, activeDeadlineSeconds=60)
            assert "exceeded quota: terminating, requested: pods=1" in await refused(here, PODS, another)

    asyncio.run(scenario())


def test_an_update_pays_for_what_it_adds_and_nothing_for_the_rest() -> None:
    async def scenario() -> None:
        async with world(quotas=True) as here:
            await limited(here, {"services": "1", "services.nodeports": "2"})
            made = await here.client.create(SERVICES, service(ports=2), "default")
            made["spec"]["type"] = "NodePort"
            made = await here.client.update(SERVICES, made)
            assert await used(here) == {"services": "1", "services.nodeports": "2"}
            made["spec"]["ports"].append({"name": "more", "port": 99})
            with pytest.raises(Forbidden, match="requested: services.nodeports=1, used: services.nodeports=2, limited"):
                await here.client.update(SERVICES, made)
            # What is given back is the controller's to count.
            made["spec"]["ports"] = made["spec"]["ports"][:1]
            made["spec"]["type"] = "ClusterIP"
            del made["spec"]["externalTrafficPolicy"]
            await here.client.update(SERVICES, made)
            assert await used(here) == {"services": "1", "services.nodeports": "2"}

    asyncio.run(scenario())


def test_a_write_that_fails_otherwise_is_not_paid_for() -> None:
    async def scenario() -> None:
        async with world(quotas=True) as here:
            await limited(here, {"configmaps": "5", "pods": "5"})
            await here.client.create(CONFIG_MAPS, of(CONFIG_MAPS, "a"), "default")
            with pytest.raises(AlreadyExists):
                await here.client.create(CONFIG_MAPS, of(CONFIG_MAPS, "a"), "default")
            with pytest.raises(Invalid):
                await here.client.create(PODS, of(PODS, "p", spec={"containers": []}), "default")
            await here.raw("POST", "/api/v1/namespaces/default/configmaps?dryRun=All", of(CONFIG_MAPS, "b"))
            assert await used(here) == {"configmaps": "1", "pods": "0"}

    asyncio.run(scenario())


def test_of_many_at_once_exactly_as_many_are_taken_as_the_quota_allows() -> None:
    async def scenario() -> None:
        async with world(quotas=True) as here:
            await limited(here, {"configmaps": "20"})
            answers: list[str] = []

            async def one(number: int) -> None:
                answers.append(await refused(here, CONFIG_MAPS, of(CONFIG_MAPS, f"c{number}")))

            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(one(number))
            assert answers.count("") == 20
            assert all("exceeded quota: q," in answer for answer in answers if answer)
            assert await used(here) == {"configmaps": "20"}
            assert len((await here.client.list(CONFIG_MAPS, "default"))["items"]) == 20

    asyncio.run(scenario())


def test_a_quota_that_somebody_writes_meanwhile_is_asked_again() -> None:
    async def scenario() -> None:
        async with world(quotas=True) as here:
            await limited(here, {"configmaps": "20"})

            async def create() -> None:
                for number in range(20):
                    await here.client.create(CONFIG_MAPS, of(CONFIG_MAPS, f"c{number}"), "default")

            async def label() -> None:
                for number in range(50):
                    change = {"metadata": {"labels": {"turn": str(number)}}}
                    await here.client.patch(RESOURCE_QUOTAS, "q", change, "default")

            async with asyncio.TaskGroup() as group:
                group.create_task(create())
                group.create_task(label())
            assert await used(here) == {"configmaps": "20"}

    asyncio.run(scenario())


def test_other_namespaces_events_and_status_cost_nothing() -> None:
    async def scenario() -> None:
        async with world(quotas=True) as here:
            await limited(here, {"pods": "1", "count/events": "1"})
            for number in range(3):
                await here.client.create(PODS, pod(f"p{number}"), "elsewhere")
            about = {"kind": "Pod", "name": "p", "namespace": "default"}
            await here.client.create(
                Resource("", "v1", "events", kind="Event"),
                {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": about},
                "default",
            )
            made = await here.client.create(PODS, pod(), "default")
            await here.client.update(PODS, {**made, "status": {"phase": "Running"}}, subresource="status")
            assert await used(here) == {"pods": "1", "count/events": "0"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("resource", "name", "expected"),
    [
        (PODS, "pods", True),
        (PODS, "requests.storage", False),
        (PODS, "hugepages-2Mi", True),
        (PODS, "requests.hugepages-2Mi", True),
        (PODS, "gold.storageclass.storage.k8s.io/requests.storage", False),
        (SERVICES, "services.loadbalancers", True),
        (PERSISTENT_VOLUME_CLAIMS, "requests.storage", True),
        (CONFIG_MAPS, "configmaps", True),
        (CONFIG_MAPS, "secrets", False),
        (DEPLOYMENTS, "deployments", False),
        (DEPLOYMENTS, "count/deployments.apps", True),
    ],
)
def test_which_names_of_a_quota_a_resource_uses(resource: Resource, name: str, expected: bool) -> None:
    assert counting.counts(resource, name) == expected


def test_a_resize_pays_for_what_it_adds() -> None:
    async def scenario() -> None:
        async with world(quotas=True) as here:
            await limited(here, {"requests.cpu": "1"})
            made = await here.client.create(PODS, pod(requests={"cpu": "500m"}), "default")
            change = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "800m"}}}]}}
            await here.client.patch(PODS, "p", change, "default", kind="strategic", subresource="resize")
            assert await used(here) == {"requests.cpu": "800m"}
            change["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1200m"}}
            with pytest.raises(StatusError, match="exceeded quota: q, requested: requests.cpu=400m, used: requests.cpu=800m"):
                await here.client.patch(PODS, "p", change, "default", kind="strategic", subresource="resize")
            assert made["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "500m"

    asyncio.run(scenario())
