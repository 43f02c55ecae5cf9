"""PodSecurity as the server runs it: labels of namespaces, refusals, warnings, exemptions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.listers import FakeListers

from steersman.api.resources import CRON_JOBS, DEPLOYMENTS, NAMESPACES, PODS
from steersman.apiserver.admission.podsecurity import POD_TEMPLATES, PodSecurity
from steersman.apiserver.admission.podsecurity.config import PodSecurityConfiguration, parse
from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import AdmissionRequest, UserInfo
from steersman.apiserver.lookup import Lookup
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

PREFIX = "pod-security.kubernetes.io/"
PRIVILEGED_POD = 'privileged (container "c" must not set securityContext.privileged=true)'


def labels(**given: str) -> dict[str, str]:
    return {PREFIX + key.replace("_", "-"): value for key, value in given.items()}


def namespace(name: str = "default", **given: str) -> Obj:
    return {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, **labels(**given)}}}


def pod(name: str = "web", privileged: bool = True, **spec: Any) -> Obj:
    container = {"name": "c", "image": "a", "securityContext": {"privileged": privileged}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [container], **spec}}


def ask(
    where: Obj,
    obj: Obj,
    old: Obj | None = None,
    *,
    resource: Resource = PODS,
    subresource: str = "",
    configuration: Obj | None = None,
    pods: tuple[Obj, ...] = (),
    user: str = "jane",
) -> tuple[str, AdmissionRequest]:
    """The refusal, and the request with its warnings and notes."""
    listers = FakeListers((NAMESPACES, where), *((PODS, item) for item in pods))
    plugin = PodSecurity(Lookup(listers), VirtualClock(), parse(configuration))
    name = obj["metadata"].get("name", "")
    inside = name if resource == NAMESPACES else "default"
    operation = "CREATE" if old is None else "UPDATE"
    request = AdmissionRequest(operation, resource, subresource, inside, name, obj, old, UserInfo(user))
    try:
        asyncio.run(plugin.validate(request))
    except StatusError as error:
        return f"{error.code} {error.message}", request
    return "", request


def configured(**parts: Any) -> Obj:
    return {"apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration", **parts}


def test_a_pod_that_violates_the_enforced_level_is_refused_and_not_warned_of() -> None:
    answer, request = ask(namespace(enforce="baseline", enforce_version="v1.30", audit="baseline"), pod())
    assert answer == f'403 pods "web" is forbidden: violates PodSecurity "baseline:v1.30": {PRIVILEGED_POD}'
    assert request.warnings == []
    assert request.audit_annotations == {
        f"{PREFIX}enforce-policy": "baseline:v1.30",
        f"{PREFIX}audit-violations": f'would violate PodSecurity "baseline:latest": {PRIVILEGED_POD}',
    }


def test_a_warned_level_warns() -> None:
    answer, request = ask(namespace(warn="baseline"), pod())
    assert (answer, request.warnings) == ("", [f'would violate PodSecurity "baseline:latest": {PRIVILEGED_POD}'])


def test_without_labels_everything_goes() -> None:
    answer, request = ask(namespace(), pod())
    assert (answer, request.warnings) == ("", [])


@pytest.mark.parametrize(
    ("resource", "wrap"),
    [
        (DEPLOYMENTS, lambda template: {"spec": {"template": template}}),
        (CRON_JOBS, lambda template: {"spec": {"jobTemplate": {"spec": {"template": template}}}}),
        (POD_TEMPLATES, lambda template: {"template": template}),
    ],
)
@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({"enforce": "baseline"}, "baseline:latest"),
        ({"enforce": "baseline", "enforce_version": "v1.20"}, "baseline:v1.20"),
        ({"enforce": "baseline", "enforce_version": "v1.20", "warn_version": "v1.21"}, "baseline:v1.21"),
        ({"enforce": "restricted", "warn": "privileged"}, ""),
        ({"warn": "baseline", "warn_version": "v1.5"}, "baseline:v1.5"),
    ],
)
def test_workloads_are_warned_of_what_their_pods_will_meet(
    resource: Resource, wrap: Any, given: dict[str, str], warned: str
) -> None:
    answer, request = ask(namespace(**given), {"metadata": {"name": "web"}, **wrap(pod())}, resource=resource)
    expected = [f'would violate PodSecurity "{warned}": {PRIVILEGED_POD}'] if warned else []
    assert (answer, request.warnings) == ("", expected)


@pytest.mark.parametrize("subresource", ["status", "eviction", "binding", "exec"])
def test_subresources_that_leave_containers_alone_are_not_looked_at(subresource: str) -> None:
    assert ask(namespace(enforce="baseline"), pod(), pod(privileged=False), subresource=subresource)[0] == ""


def test_an_ephemeral_container_is_looked_at() -> None:
    new = pod(privileged=False, ephemeralContainers=[{"name": "c", "securityContext": {"privileged": True}}])
    answer, _ = ask(namespace(enforce="baseline"), new, pod(privileged=False), subresource="ephemeralcontainers")
    assert answer == f'403 pods "web" is forbidden: violates PodSecurity "baseline:latest": {PRIVILEGED_POD}'


def test_an_update_that_changes_no_image_passes_whatever_the_pod_is() -> None:
    labelled = pod()
    labelled["metadata"]["labels"] = {"a": "b"}
    assert ask(namespace(enforce="baseline"), labelled, pod())[0] == ""
    other = pod()
    other["spec"]["containers"][0]["image"] = "b"
    assert ask(namespace(enforce="baseline"), other, pod())[0].startswith("403")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"enforce": "strict"},
            'metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": '
            "must be one of privileged, baseline, restricted",
        ),
        (
            {"warn_version": "1.20"},
            'metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.20": must be "latest" or "v1.x"',
        ),
        ({"audit_version": "v1.036"}, 'metadata.labels[pod-security.kubernetes.io/audit-version]: Invalid value: "v1.036": '
         'must be "latest" or "v1.x"'),
        ({"enforce": "restricted", "enforce_version": "v1.36"}, ""),
    ],
)  # fmt: skip
def test_labels_that_say_nothing_known_are_refused(given: dict[str, str], text: str) -> None:
    answer, _ = ask(namespace(), namespace("mine", **given), resource=NAMESPACES)
    assert answer == (f'422 Namespace "mine" is invalid: {text}' if text else "")


def test_wrong_labels_that_are_there_already_do_not_stand_in_the_way_of_other_changes() -> None:
    wrong = namespace("mine", enforce="strict")
    other = {"metadata": {**wrong["metadata"], "annotations": {"a": "b"}}}
    assert ask(namespace(), other, wrong, resource=NAMESPACES)[0] == ""


def test_a_wrong_level_is_enforced_as_restricted_and_does_not_warn() -> None:
    answer, request = ask(namespace(enforce="strict", warn="strict"), pod())
    assert 'violates PodSecurity "restricted:latest"' in answer
    assert request.audit_annotations[f"{PREFIX}error"].startswith("Failed to parse policy: metadata.labels[")


def test_who_makes_a_namespace_stricter_is_told_which_pods_would_not_do() -> None:
    owner = [{"uid": "1", "controller": True}]
    there = [pod(f"web-{number}") for number in (3, 1, 2)]
    for item in there:
        item["metadata"]["ownerReferences"] = owner
    others = [pod("fine", privileged=False), pod("net", hostNetwork=True), pod("kata", runtimeClassName="kata")]
    configuration = configured(exemptions={"runtimeClasses": ["kata"]})
    _, request = ask(
        namespace(),
        namespace("default", enforce="baseline"),
        namespace("default"),
        resource=NAMESPACES,
        pods=(*there, *others),
        configuration=configuration,
    )
    assert request.warnings == [
        'existing pods in namespace "default" violate the new PodSecurity enforce level "baseline:latest"',
        "net: host namespaces, privileged",
        "web-1 (and 2 other pods): privileged",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"enforce": "baseline"}, {"enforce": "baseline"}),
        ({"enforce": "restricted"}, {"enforce": "baseline"}),
        ({"enforce": "baseline"}, {"enforce": "privileged"}),
        ({}, {"warn": "baseline"}),
    ],
)
def test_a_namespace_that_becomes_no_stricter_is_not_looked_into(before: dict[str, str], after: dict[str, str]) -> None:
    new, old = namespace("default", **after), namespace("default", **before)
    assert ask(namespace(), new, old, resource=NAMESPACES, pods=(pod(),))[1].warnings == []


def test_the_same_level_of_another_version_is_looked_into() -> None:
    new, old = namespace("default", enforce="baseline", enforce_version="v1.2"), namespace("default", enforce="baseline")
    assert len(ask(namespace(), new, old, resource=NAMESPACES, pods=(pod(), pod("w")))[1].warnings) == 2


def test_defaults_are_for_namespaces_without_labels() -> None:
    configuration = configured(defaults={"enforce": "baseline", "enforce-version": "v1.30", "audit": "restricted"})
    assert 'violates PodSecurity "baseline:v1.30"' in ask(namespace(), pod(), configuration=configuration)[0]
    assert ask(namespace(enforce="privileged"), pod(), configuration=configuration)[0] == ""


@pytest.mark.parametrize(
    ("exemptions", "noted"),
    [
        ({"usernames": ["jane"]}, "user"),
        ({"namespaces": ["default"]}, "namespace"),
        ({"runtimeClasses": ["kata"]}, "runtimeClass"),
    ],
)
def test_exempt_is_who_the_configuration_names(exemptions: Obj, noted: str) -> None:
    configuration = configured(exemptions=exemptions)
    asked = pod(runtimeClassName="kata")
    answer, request = ask(namespace(enforce="restricted"), asked, configuration=configuration)
    assert (answer, request.audit_annotations[f"{PREFIX}exempt"]) == ("", noted)
    assert ask(namespace(enforce="restricted"), asked, user="joe", configuration=configured())[0].startswith("403")


def test_labels_of_an_exempt_namespace_are_told_to_say_nothing() -> None:
    configuration = configured(exemptions={"namespaces": ["mine"]})
    labelled = namespace("mine", enforce="baseline", warn="restricted", audit="privileged")
    text = 'namespace "mine" is exempt from Pod Security, and the policy (enforce=baseline:latest, warn=restricted:latest)'
    for old in (None, namespace("mine")):
        _, request = ask(namespace(), labelled, old, resource=NAMESPACES, configuration=configuration)
        assert request.warnings == [f"{text} will be ignored"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"apiVersion": "v1", "kind": "Pod"}, "v1, Kind=Pod is no configuration of it"),
        (configured(default={}), 'unknown field "default"'),
        (configured(defaults={"enforc": "x"}), 'unknown field "defaults.enforc"'),
        (configured(defaults={"warn": "x"}), 'defaults.warn: Invalid value: "x": must be one of'),
        (configured(defaults={"warn-version": "x"}), 'defaults.warn-version: Invalid value: "x": must be "latest" or "v1.x"'),
        (configured(exemptions={"namespaces": ["A"]}), 'exemptions.namespaces[0]: Invalid value: "A": a lowercase'),
        (configured(exemptions={"usernames": ["a", "a"]}), 'exemptions.usernames[1]: Duplicate value: "a"'),
        (configured(exemptions={"usernames": [""]}), 'exemptions.usernames[0]: Invalid value: "": username must not be empty'),
    ],
)
def test_a_wrong_configuration_is_refused(given: Obj, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(given)
    assert text in str(caught.value)


def test_nothing_configured_is_privileged_and_nobody_exempt() -> None:
    assert parse(None) == parse(configured()) == PodSecurityConfiguration()
