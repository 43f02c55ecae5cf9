"""Rules and selectors of webhooks and policies: which requests they name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.fakes.listers import FakeListers

from steersman.api.resources import DEPLOYMENTS, NAMESPACES, NODES, PODS
from steersman.apiserver.admission.matching import MatchResources, Rule, Rules, Selectors, is_exempt
from steersman.apiserver.contracts import AdmissionRequest, UserInfo
from steersman.apiserver.lookup import Lookup
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

OLDER = DEPLOYMENTS._replace(version="v1beta1")


class Same:
    """Deployments have two names."""

    def equivalents(self, resource: Resource) -> Sequence[Resource]:
        return [other for other in (DEPLOYMENTS, OLDER) if other != resource] if resource in (DEPLOYMENTS, OLDER) else []


def request(resource: Resource = PODS, operation: str = "CREATE", subresource: str = "", **more: Any) -> AdmissionRequest:
    namespace = "n" if resource.namespaced else more.pop("namespace", "")
    labels = more.pop("labels", {})
    obj = {"metadata": {"name": "x", "labels": labels}}
    return AdmissionRequest(operation, resource, subresource, namespace, "x", obj, more.pop("old", None), UserInfo("u"), **more)


def rule(**more: Any) -> Obj:
    return {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], **more}


@pytest.mark.parametrize(
    ("said", "asked", "matches"),
    [
        (rule(), request(), True),
        (rule(), request(subresource="status"), False),
        (rule(resources=["*/*"]), request(subresource="status"), True),
        (rule(resources=["*/*"]), request(), True),
        (rule(resources=["pods/*"]), request(), True),
        (rule(resources=["pods/*"]), request(NODES), False),
        (rule(resources=["*/status"]), request(NODES, subresource="status"), True),
        (rule(resources=["*/status"]), request(NODES), False),
        (rule(resources=["pods"]), request(subresource="exec"), False),
        (rule(operations=["UPDATE", "DELETE"]), request(), False),
        (rule(operations=["UPDATE", "DELETE"]), request(operation="DELETE"), True),
        (rule(apiGroups=["apps"]), request(), False),
        (rule(apiGroups=[""]), request(), True),
        (rule(apiGroups=["apps"], apiVersions=["v1beta1"]), request(DEPLOYMENTS), False),
        (rule(scope="Namespaced"), request(), True),
        (rule(scope="Cluster"), request(), False),
        (rule(scope="Namespaced"), request(NODES), False),
        (rule(scope="Cluster"), request(NODES), True),
        (rule(scope="Cluster"), request(NAMESPACES, namespace="x"), True),
        (rule(scope="Namespaced"), request(NAMESPACES, namespace="x"), False),
        (rule(resourceNames=["y"]), request(), False),
        (rule(resourceNames=["x", "y"]), request(), True),
    ],
)
def test_a_rule_names_requests(said: Obj, asked: AdmissionRequest, matches: bool) -> None:
    assert Rule(said).matches(asked, asked.resource) is matches


def test_the_same_under_another_name_is_matched_unless_it_must_be_exact() -> None:
    older = [rule(apiGroups=["apps"], apiVersions=["v1beta1"], resources=["deployments"])]
    assert Rules(older, exact=False).match(request(DEPLOYMENTS), Same()) == OLDER
    assert Rules(older, exact=True).match(request(DEPLOYMENTS), Same()) is None
    both = [*older, rule(apiGroups=["apps"], resources=["deployments"])]
    assert Rules(both, exact=False).match(request(DEPLOYMENTS), Same()) == DEPLOYMENTS


def listers() -> FakeListers:
    return FakeListers((NAMESPACES, {"metadata": {"name": "n", "labels": {"team": "a"}}}))


@pytest.mark.parametrize(
    ("said", "asked", "matches"),
    [
        ({}, request(), True),
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, request(), True),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, request(), False),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, request(NODES), True),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, request(NAMESPACES, labels={"team": "b"}), True),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, request(NAMESPACES, labels={"team": "a"}), False),
        ({"objectSelector": {"matchLabels": {"a": "b"}}}, request(), False),
        ({"objectSelector": {"matchLabels": {"a": "b"}}}, request(labels={"a": "b"}), True),
        ({"objectSelector": {"matchLabels": {"a": "b"}}}, request(old={"metadata": {"labels": {"a": "b"}}}), True),
        ({"objectSelector": {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}}, request(), True),
    ],
)
def test_selectors_look_at_namespaces_and_objects(said: Obj, asked: AdmissionRequest, matches: bool) -> None:
    assert asyncio.run(Selectors.of(said).match(asked, Lookup(listers()))) is matches


def test_a_namespace_that_is_not_there_is_told() -> None:
    selectors = Selectors.of({"namespaceSelector": {"matchLabels": {"team": "a"}}})
    with pytest.raises(NotFound, match='namespaces "n" not found'):
        asyncio.run(selectors.match(request(), Lookup(FakeListers())))


@pytest.mark.parametrize(
    ("said", "matched"),
    [
        ({}, PODS),
        ({"resourceRules": [rule(resources=["pods"])]}, PODS),
        ({"resourceRules": [rule(resources=["nodes"])]}, None),
        ({"resourceRules": [rule()], "excludeResourceRules": [rule(resources=["pods"])]}, None),
    ],
)
def test_a_policy_is_about_what_it_includes_and_does_not_exclude(said: Obj, matched: Resource | None) -> None:
    assert asyncio.run(MatchResources(said).match(request(), Same(), Lookup(listers()))) == matched


def test_the_configuration_of_admission_is_exempt() -> None:
    group = "admissionregistration.k8s.io"
    assert is_exempt(Resource(group, "v1", "validatingwebhookconfigurations"))
    assert is_exempt(Resource(group, "v1beta1", "mutatingadmissionpolicybindings"))
    assert not is_exempt(PODS)
