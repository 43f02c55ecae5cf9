"""Reviews and token requests through the whole server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from tests.fakes.cluster import Cluster, cluster

from steersman.api.resources import PODS, SERVICE_ACCOUNTS, SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from steersman.client.interface import Client
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

AUTHORIZATION, AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"
SELF_ACCESS = Resource(AUTHORIZATION, "v1", "selfsubjectaccessreviews", False, "SelfSubjectAccessReview")
SELF_RULES = Resource(AUTHORIZATION, "v1", "selfsubjectrulesreviews", False, "SelfSubjectRulesReview")
LOCAL_ACCESS = Resource(AUTHORIZATION, "v1", "localsubjectaccessreviews", True, "LocalSubjectAccessReview")
SELF = Resource(AUTHENTICATION, "v1", "selfsubjectreviews", False, "SelfSubjectReview")
FIELDS = "spec.resourceAttributes.fieldSelector"
GET_PODS = {"verb": "get", "resource": "pods", "namespace": "default"}


def run(directory: Path, scenario: Callable[[Cluster], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with cluster(directory) as made:
            await scenario(made)

    asyncio.run(whole())


async def refused(call: Awaitable[Obj]) -> str:
    with pytest.raises(StatusError) as caught:
        await call
    return f"{caught.value.code} {caught.value.message}"


async def review(client: Client, resource: Resource, /, where: str = "", **spec: Any) -> Obj:
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
    return await client.create(resource, body, where)


def test_access_reviews_answer_for_the_caller_and_for_others(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        allowed = {"allowed": True, "reason": (
            'RBAC: allowed by ClusterRoleBinding "system:kube-scheduler" of ClusterRole "system:kube-scheduler" '
            'to User "system:kube-scheduler"'
        )}  # fmt: skip
        answer = await review(made.admin, SUBJECT_ACCESS_REVIEWS, user="system:kube-scheduler", resourceAttributes=GET_PODS)
        assert answer["status"] == allowed
        answer = await review(made.acting_as("system:kube-scheduler"), SELF_ACCESS, resourceAttributes=GET_PODS)
        assert answer["status"] == allowed
        answer = await review(made.acting_as("jane"), SELF_ACCESS, resourceAttributes=GET_PODS)
        assert answer["status"] == {"allowed": False}
        answer = await review(made.acting_as("jane"), SELF_ACCESS, nonResourceAttributes={"verb": "get", "path": "/version"})
        assert answer["status"]["allowed"] is True
        answer = await review(made.admin, LOCAL_ACCESS, "default", user="jane", resourceAttributes=GET_PODS)
        assert answer["status"] == {"allowed": False}

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("resource", "spec", "text"),
    [
        (SUBJECT_ACCESS_REVIEWS, {"resourceAttributes": GET_PODS},
         'spec.user: Invalid value: "": at least one of user or group must be specified'),
        (SUBJECT_ACCESS_REVIEWS, {"user": "a"},
         "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be "
         "specified"),
        (LOCAL_ACCESS, {"user": "a", "resourceAttributes": {**GET_PODS, "namespace": "other"}},
         'spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace'),
        (SUBJECT_ACCESS_REVIEWS, {"user": "a", "resourceAttributes": {**GET_PODS, "fieldSelector": {}}},
         f"{FIELDS}.requirements: Required value: when {FIELDS} is specified, requirements or rawSelector is required"),
        (SUBJECT_ACCESS_REVIEWS, {"user": "a", "resourceAttributes": {**GET_PODS, "fieldSelector": {
            "rawSelector": "a=b", "requirements": [{"key": "a", "operator": "Exists"}]}}},
         f'{FIELDS}.rawSelector: Invalid value: "a=b": may not specified at the same time as requirements'),
        (SUBJECT_ACCESS_REVIEWS, {"user": "a", "resourceAttributes": {**GET_PODS, "fieldSelector": {
            "requirements": [{"key": "a", "operator": "In"}]}}},
         f"{FIELDS}.requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"),
    ],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_invalid(tmp_path: Path, resource: Resource, spec: Obj, text: str) -> None:
    async def scenario(made: Cluster) -> None:
        answer = await refused(review(made.admin, resource, "default" if resource.namespaced else "", **spec))
        assert answer == f'422 {resource.kind}.{AUTHORIZATION} "" is invalid: {text}'

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("selector", "status"),
    [
        ({"rawSelector": "spec.nodeName=n1"}, {"allowed": True}),
        ({"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]}, {"allowed": True}),
        ({"rawSelector": "spec.nodeName=n2"}, {"allowed": False}),
        ({"rawSelector": "x"}, {"allowed": False, "evaluationError": f"{FIELDS} ignored due to parse error"}),
        (
            {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}, {"key": "x", "operator": "Near"}]},
            {"allowed": True, "evaluationError": f"{FIELDS} partially ignored due to parse error"},
        ),
    ],
)
def test_a_node_lists_its_pods_if_the_selector_says_so(tmp_path: Path, selector: Obj, status: Obj) -> None:
    async def scenario(made: Cluster) -> None:
        asked = {"verb": "list", "resource": "pods", "version": "v1", "fieldSelector": selector}
        node: Obj = {"user": "system:node:n1", "groups": ["system:nodes", "system:authenticated"]}
        found = (await review(made.admin, SUBJECT_ACCESS_REVIEWS, **node, resourceAttributes=asked))["status"]
        assert {key: value for key, value in found.items() if key != "reason"} == status

    run(tmp_path, scenario)


def test_the_callers_rules_and_identity_are_told(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        jane = made.acting_as("jane", "devs")
        status = (await review(jane, SELF_RULES, namespace="default"))["status"]
        assert status["incomplete"] is False
        assert {"verbs": ["create"], "apiGroups": [AUTHENTICATION], "resources": ["selfsubjectreviews"]} in status[
            "resourceRules"
        ]
        assert any("/version" in rule["nonResourceURLs"] for rule in status["nonResourceRules"])
        assert await refused(review(jane, SELF_RULES)) == "400 no namespace on request"
        who = (await review(jane, SELF))["status"]["userInfo"]
        assert who == {"username": "jane", "groups": ["devs", "system:authenticated"]}

    run(tmp_path, scenario)


# --- tokens


async def account(made: Cluster) -> Obj:
    return await made.admin.create(SERVICE_ACCOUNTS, {"metadata": {"name": "robot", "namespace": "default"}})


async def pod(made: Cluster, name: str = "web", account_name: str = "robot") -> Obj:
    spec = {"serviceAccountName": account_name, "nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}
    return await made.admin.create(PODS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


async def token(client: Client, **spec: Any) -> Obj:
    body = {"apiVersion": f"{AUTHENTICATION}/v1", "kind": "TokenRequest", "spec": spec}
    return await client.create(SERVICE_ACCOUNTS, body, "default", name="robot", subresource="token")


def claims_of(answer: Obj) -> Obj:
    found: Obj = jwt.decode(answer["status"]["token"], options={"verify_signature": False})
    return found


def test_a_pods_token_works_lasts_a_year_though_it_says_an_hour_and_dies_with_the_pod(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        robot = await account(made)
        uid = (await pod(made))["metadata"]["uid"]
        ref = {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": uid}
        kubelet = made.acting_as("system:node:n1", "system:nodes")
        answer = await token(kubelet, expirationSeconds=3607, boundObjectRef=ref)
        assert answer["status"]["expirationTimestamp"] == "2026-01-01T01:00:07Z"
        claims = claims_of(answer)
        assert claims["exp"] - claims["iat"] == 365 * 86400
        private = claims["kubernetes.io"]
        assert private["warnafter"] == claims["iat"] + 3607
        assert private["serviceaccount"] == {"name": "robot", "uid": robot["metadata"]["uid"]}
        assert (private["pod"], private["node"]) == ({"name": "web", "uid": uid}, {"name": "n1"})
        bearer = {"authorization": f"Bearer {answer['status']['token']}"}
        who = await made.outside.raw("POST", SELF.path(), body=b"{}", headers=bearer)
        assert who["status"]["userInfo"]["username"] == "system:serviceaccount:default:robot"
        checked = await review(made.admin, TOKEN_REVIEWS, token=answer["status"]["token"])
        assert checked["status"]["authenticated"] is True
        await made.admin.delete(PODS, "web", "default", grace_period_s=0)
        checked = await review(made.admin, TOKEN_REVIEWS, token=answer["status"]["token"])
        assert checked["status"] == {"user": {}, "error": "[invalid bearer token, service account token has been invalidated]"}

    run(tmp_path, scenario)


def test_a_token_for_elsewhere_has_its_audience_and_its_own_time(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        await account(made)
        answer = await token(made.admin, audiences=["vault"], expirationSeconds=3607)
        claims = claims_of(answer)
        assert (claims["aud"], claims["exp"] - claims["iat"]) == (["vault"], 3607)
        usual = claims_of(await token(made.admin))
        assert usual["exp"] - usual["iat"] == 3600
        wrong = await review(made.admin, TOKEN_REVIEWS, token=answer["status"]["token"])
        assert "authenticated" not in wrong["status"]
        right = await review(made.admin, TOKEN_REVIEWS, token=answer["status"]["token"], audiences=["vault"])
        assert right["status"]["audiences"] == ["vault"]

    run(tmp_path, scenario)


def test_a_token_request_that_cannot_be_met_is_refused(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        assert await refused(token(made.admin)) == '404 serviceaccounts "robot" not found'
        await account(made)
        await made.admin.create(SERVICE_ACCOUNTS, {"metadata": {"name": "other", "namespace": "default"}})
        await pod(made, "foreign", "other")
        invalid = 'TokenRequest.authentication.k8s.io "robot" is invalid: spec.expirationSeconds: Invalid value: '
        short = await refused(token(made.admin, expirationSeconds=599))
        assert short == f"422 {invalid}599: may not specify a duration less than 10 minutes"
        pod_ref = {"apiVersion": "v1", "kind": "Pod"}
        assert await refused(token(made.admin, boundObjectRef={**pod_ref, "name": "none"})) == '404 pods "none" not found'
        different = 'cannot bind token for serviceaccount "robot" to pod running with different serviceaccount name.'
        assert await refused(token(made.admin, boundObjectRef={**pod_ref, "name": "foreign"})) == f"400 {different}"
        recreated = await refused(token(made.admin, boundObjectRef={**pod_ref, "name": "foreign", "uid": "old"}))
        assert recreated.startswith("409 ") and "the UID in the bound object reference (old) does not match" in recreated
        odd = await refused(token(made.admin, boundObjectRef={"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}))
        assert odd == "400 cannot bind token to object of type /v1, Kind=ConfigMap"
        assert await refused(review(made.admin, TOKEN_REVIEWS)) == "400 token is required for TokenReview in authentication"

    run(tmp_path, scenario)


def test_anybody_with_an_account_finds_the_keys(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        robot = made.acting_as("system:serviceaccount:default:robot", "system:serviceaccounts")
        found = await robot.raw("GET", "/.well-known/openid-configuration")
        assert found["jwks_uri"] == "https://10.0.0.1:6443/openid/v1/jwks"
        assert len((await robot.raw("GET", "/openid/v1/jwks"))["keys"]) == 1

    run(tmp_path, scenario)
