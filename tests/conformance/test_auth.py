"""[sig-auth] ServiceAccounts, SubjectReview; [sig-instrumentation] Events: who is who, who may what, and what happened."""

from __future__ import annotations

import base64
import itertools
import json

import pytest
from tests.conformance.objects import named, pod
from tests.conformance.space import Space, eventually

from steersman.api.resources import CONFIG_MAPS, EVENTS, EVENTS_V1, PODS, SERVICE_ACCOUNTS
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of, uid_of

pytestmark = pytest.mark.root

ACCOUNTS = "[sig-auth] ServiceAccounts"
MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.mark.conformance(f"{ACCOUNTS} should mount an API token into pods [Conformance]")
def test_a_pod_has_token_authority_and_namespace(space: Space) -> None:
    said = space.output(pod(f"cat {MOUNT}/namespace; echo; cat {MOUNT}/token; echo; cat {MOUNT}/ca.crt"))
    namespace, token, authority = said.split("\n", 2)
    assert namespace == space.name
    assert authority == space.get(CONFIG_MAPS, "kube-root-ca.crt")["data"]["ca.crt"]
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = json.loads(
        space.api.request(
            "POST", "/apis/authentication.k8s.io/v1/tokenreviews", json.dumps(review).encode(), Content_Type="application/json"
        ).body
    )["status"]
    assert answer["authenticated"] and answer["user"]["username"] == f"system:serviceaccount:{space.name}:default"
    assert answer["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["pod"]


@pytest.mark.conformance(f"{ACCOUNTS} should mount projected service account token [Conformance]")
def test_a_token_is_projected(space: Space) -> None:
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600, "audience": "somebody"}}
    volumes = [{"name": "v", "projected": {"sources": [source]}}]
    token = space.output(pod("cat /v/token", spec={"volumes": volumes}, volumeMounts=[{"name": "v", "mountPath": "/v"}]))
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["aud"] == ["somebody"] and claims["sub"] == f"system:serviceaccount:{space.name}:default"
    assert claims["kubernetes.io"]["pod"] == {"name": "pod", "uid": uid_of(space.get(PODS, "pod"))}
    # An hour that was asked for is an hour; only what the admission plugin mounts is stretched.
    assert 3590 <= claims["exp"] - claims["iat"] <= 3610


@pytest.mark.conformance(f"{ACCOUNTS} should allow opting out of API token automount [Conformance]")
def test_mounting_the_token_can_be_declined(space: Space) -> None:
    for name, value in (("mount", True), ("nomount", False)):
        space.create(SERVICE_ACCOUNTS, named(name, automountServiceAccountToken=value))
    names = {None: "default", True: "mount", False: "nomount"}
    for account, wish in itertools.product(names, (None, True, False)):
        spec: Obj = {"serviceAccountName": names[account]}
        if wish is not None:
            spec["automountServiceAccountToken"] = wish
        made = space.create(PODS, pod("true", name=f"{names[account]}-{wish}".lower(), spec=spec))
        mounts = [it["mountPath"] for it in made["spec"]["containers"][0].get("volumeMounts") or ()]
        expected = wish if wish is not None else account is not False
        assert (MOUNT in mounts) is expected, (account, wish)


@pytest.mark.conformance(f"{ACCOUNTS} should run through the lifecycle of a ServiceAccount [Conformance]")
@pytest.mark.conformance(f"{ACCOUNTS} should update a ServiceAccount [Conformance]")
def test_the_life_of_a_service_account(space: Space) -> None:
    with space.watching(SERVICE_ACCOUNTS, label_selector="static=true") as watching:
        space.create(SERVICE_ACCOUNTS, named("sa", {"static": "true"}))
        assert watching.next().type == "ADDED"
        space.patch(SERVICE_ACCOUNTS, "sa", {"automountServiceAccountToken": False}, kind="strategic")
        (found,) = space.list(SERVICE_ACCOUNTS, "static=true")
        assert found["automountServiceAccountToken"] is False
        found["automountServiceAccountToken"] = True
        assert space.update(SERVICE_ACCOUNTS, found)["automountServiceAccountToken"] is True
        space.delete_collection(SERVICE_ACCOUNTS, "static=true")
        watching.until("DELETED")


@pytest.mark.conformance(f"{ACCOUNTS} should guarantee kube-root-ca.crt exist in any namespace [Conformance]")
def test_every_namespace_has_the_authority(space: Space) -> None:
    name = "kube-root-ca.crt"
    right = space.get(CONFIG_MAPS, name)["data"]
    assert right["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
    space.delete(CONFIG_MAPS, name)
    space.until(CONFIG_MAPS, name, lambda it: it["data"] == right)
    space.patch(CONFIG_MAPS, name, {"data": {"ca.crt": ""}})
    space.until(CONFIG_MAPS, name, lambda it: it["data"] == right)


@pytest.mark.conformance(f"{ACCOUNTS} should create a serviceAccountToken and ensure a successful TokenReview [Conformance]")
def test_a_token_that_is_asked_for_is_good(space: Space) -> None:
    space.create(SERVICE_ACCOUNTS, named("sa"))
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = space.api.create(SERVICE_ACCOUNTS, request, space.name, name="sa", subresource="token")["status"]["token"]
    review = Resource("authentication.k8s.io", "v1", "tokenreviews", False, "TokenReview")
    made = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    status = space.api.create(review, made)["status"]
    assert status["authenticated"] and not status.get("error")
    assert status["user"]["username"] == f"system:serviceaccount:{space.name}:sa"


@pytest.mark.conformance(
    f"{ACCOUNTS} ServiceAccountIssuerDiscovery should support OIDC discovery of service account issuer [Conformance]"
)
def test_the_issuer_can_be_discovered(space: Space) -> None:
    found = space.api.raw("GET", "/.well-known/openid-configuration")
    assert found["issuer"] and found["jwks_uri"].endswith("/openid/v1/jwks")
    keys = space.api.raw("GET", "/openid/v1/jwks")["keys"]
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = space.api.create(SERVICE_ACCOUNTS, request, space.name, name="default", subresource="token")["status"]["token"]
    header, payload = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in token.split(".")[:2])
    assert payload["iss"] == found["issuer"] and header["kid"] in [key["kid"] for key in keys]
    assert header["alg"] in found["id_token_signing_alg_values_supported"]


@pytest.mark.conformance("[sig-auth] SubjectReview should support SubjectReview API operations [Conformance]")
def test_reviews_agree_with_what_is_allowed(space: Space) -> None:
    user = f"system:serviceaccount:{space.name}:default"
    attributes = {"namespace": space.name, "verb": "list", "resource": "configmaps", "version": "v1"}
    group = "authorization.k8s.io"

    def reviewed(local: bool) -> bool:
        kind = "LocalSubjectAccessReview" if local else "SubjectAccessReview"
        resource = Resource(group, "v1", f"{kind.lower()}s", local, kind)
        made = {"apiVersion": f"{group}/v1", "kind": kind, "spec": {"user": user, "resourceAttributes": attributes}}
        if local:
            made["metadata"] = {"namespace": space.name}
        return bool(space.api.create(resource, made, space.name if local else "")["status"]["allowed"])

    def may() -> bool:
        return space.api.request("GET", CONFIG_MAPS.path(space.name), Impersonate_User=user).status == 200

    assert not may() and not reviewed(False) and not reviewed(True)
    space.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", f"--serviceaccount={space.name}:default")
    eventually(may)
    assert reviewed(False) and reviewed(True)


def event(space: Space, name: str) -> Obj:
    """A core/v1 Event."""
    about = {"namespace": space.name, "kind": "Pod", "name": "nobody"}
    return named(
        name, {"testevent": "true"}, message="This is a test", reason="Test", type="Normal", count=1, involvedObject=about
    )


@pytest.mark.conformance("[sig-instrumentation] Events should manage the lifecycle of an event [Conformance]")
def test_the_life_of_an_event(space: Space) -> None:
    space.create(EVENTS, event(space, "e"))
    listed = [
        it for it in space.api.list(EVENTS, label_selector="testevent=true")["items"] if it["metadata"]["namespace"] == space.name
    ]
    assert [name_of(it) for it in listed] == ["e"]
    space.patch(EVENTS, "e", {"message": "patched"}, kind="strategic")
    found = space.get(EVENTS, "e")
    assert found["message"] == "patched"
    found["series"] = {"count": 100, "lastObservedTime": "2026-01-02T03:04:05.678901Z"}
    assert space.update(EVENTS, found)["series"] == found["series"]
    space.delete(EVENTS, "e")
    assert space.list(EVENTS, "testevent=true") == []


@pytest.mark.conformance(
    "[sig-instrumentation] Events API should ensure that an event can be fetched, patched, deleted, and listed [Conformance]"
)
def test_the_life_of_an_event_of_the_newer_api(space: Space) -> None:
    made = named(
        "e",
        eventTime="2026-01-02T03:04:05.678901Z",
        reportingController="test-controller",
        reportingInstance="test-node",
        action="Do",
        reason="Test",
        type="Normal",
        note="a note",
        regarding={"namespace": space.name, "kind": "Pod", "name": "nobody"},
    )
    space.create(EVENTS_V1, made)
    # In this API nothing but the series may change.
    series = {"count": 2, "lastObservedTime": "2026-01-02T03:04:05.700000Z"}
    space.patch(EVENTS_V1, "e", {"series": series}, kind="strategic")
    found = space.get(EVENTS_V1, "e")
    assert found["series"] == series and found["eventTime"] == made["eventTime"]
    found["series"] = {"count": 3, "lastObservedTime": "2026-01-02T03:04:06.000001Z"}
    assert space.update(EVENTS_V1, found)["series"] == found["series"]
    # The same object, in the older form.
    old = space.get(EVENTS, "e")
    assert old["message"] == "a note" and old["involvedObject"]["name"] == "nobody" and old["series"] == found["series"]
    space.delete(EVENTS_V1, "e")
    assert space.list(EVENTS_V1) == []


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(
            EVENTS,
            id="core",
            marks=pytest.mark.conformance("[sig-instrumentation] Events should delete a collection of events [Conformance]"),
        ),
        pytest.param(
            EVENTS_V1,
            id="events.k8s.io",
            marks=pytest.mark.conformance("[sig-instrumentation] Events API should delete a collection of events [Conformance]"),
        ),
    ],
)
def test_events_are_deleted_together(space: Space, resource: Resource) -> None:
    for number in range(3):
        space.create(EVENTS, event(space, f"e{number}"))
    assert len(space.list(resource, "testevent=true")) == 3
    space.delete_collection(resource, "testevent=true")
    assert space.list(resource, "testevent=true") == []
