"""The audit policy: which rule a request meets, what is wrong with a file in upstream's words, and any policy at all."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.apiserver.audit.policy import LEVELS, STAGES, load, parse
from steersman.apiserver.config import ConfigError
from steersman.apiserver.contracts import RequestInfo, UserInfo
from steersman.apiserver.requestinfo import parse as info_of
from steersman.machinery import yamlio
from steersman.machinery.meta import Obj

ALICE = UserInfo("alice", groups=("admins", "system:authenticated"))


def document(*rules: Obj, **more: Any) -> bytes:
    return yamlio.dump({"kind": "Policy", "apiVersion": "audit.k8s.io/v1", "rules": list(rules), **more}).encode()


def rule(level: str = "Metadata", **more: Any) -> Obj:
    return {"level": level, **more}


def resource(*plurals: str, group: str = "", names: tuple[str, ...] = ()) -> Obj:
    return {"group": group, "resources": list(plurals), "resourceNames": list(names)}


def get(path: str) -> RequestInfo:
    return info_of("GET", path)


POD, POD_LOG = "/api/v1/namespaces/default/pods/web", "/api/v1/namespaces/default/pods/web/log"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/web"


@pytest.mark.parametrize(
    ("matching", "path", "recorded"),
    [
        ({}, POD, True),
        ({}, "/healthz", True),
        ({"users": ["alice"]}, POD, True),
        ({"users": ["bob"]}, POD, False),
        ({"userGroups": ["admins"]}, POD, True),
        ({"userGroups": ["others"]}, POD, False),
        ({"users": ["alice"], "userGroups": ["others"]}, POD, False),
        ({"verbs": ["get"]}, POD, True),
        ({"verbs": ["list"]}, POD, False),
        ({"verbs": ["list"]}, "/api/v1/pods", True),
        ({"namespaces": ["default"]}, POD, True),
        ({"namespaces": ["other"]}, POD, False),
        ({"namespaces": [""]}, "/api/v1/nodes/n1", True),
        ({"namespaces": [""]}, POD, False),
        ({"namespaces": ["default"]}, "/healthz", False),
        ({"resources": [resource("pods")]}, POD, True),
        ({"resources": [resource("pods")]}, POD_LOG, False),
        ({"resources": [resource("pods/log")]}, POD_LOG, True),
        ({"resources": [resource("pods/log")]}, POD, False),
        ({"resources": [resource("pods/*")]}, POD_LOG, True),
        ({"resources": [resource("pods/*")]}, POD, True),
        ({"resources": [resource("*/log")]}, POD_LOG, True),
        ({"resources": [resource("*/status")]}, POD_LOG, False),
        ({"resources": [resource("*")]}, POD_LOG, True),
        ({"resources": [resource()]}, POD_LOG, True),
        ({"resources": [resource("pods", names=("web",))]}, POD, True),
        ({"resources": [resource("pods", names=("db",))]}, POD, False),
        ({"resources": [resource("pods", names=("web",))]}, "/api/v1/namespaces/default/pods", False),
        ({"resources": [resource("deployments", group="apps")]}, DEPLOYMENT, True),
        ({"resources": [resource("deployments")]}, DEPLOYMENT, False),
        ({"resources": [resource("deployments", group="*")]}, DEPLOYMENT, True),
        ({"resources": [{"group": "*"}]}, POD, True),
        ({"resources": [resource("secrets"), resource("pods")]}, POD, True),
        ({"resources": [resource("pods")], "namespaces": ["other"]}, POD, False),
        ({"nonResourceURLs": ["/healthz"]}, "/healthz", True),
        ({"nonResourceURLs": ["/healthz"]}, "/healthz/ping", False),
        ({"nonResourceURLs": ["/healthz*"]}, "/healthz/ping", True),
        ({"nonResourceURLs": ["*"]}, "/version", True),
        ({"nonResourceURLs": ["*"]}, POD, False),
        ({"nonResourceURLs": ["/metrics", "/version"]}, "/version", True),
    ],
)
def test_a_rule_matches_what_upstreams_does(matching: Obj, path: str, recorded: bool) -> None:
    assert (parse(document(rule(**matching))).evaluate(get(path), ALICE) is not None) is recorded


def test_the_first_rule_that_matches_decides() -> None:
    policy = parse(
        document(
            rule("None", users=["bob"]),
            rule("RequestResponse", resources=[resource("pods")], omitStages=["RequestReceived"], omitManagedFields=False),
            rule("Request"),
            omitStages=["Panic"],
            omitManagedFields=True,
        )
    )
    assert policy.evaluate(get(POD), UserInfo("bob")) is None
    first, second = policy.evaluate(get(POD), ALICE), policy.evaluate(get("/version"), ALICE)
    assert first is not None and second is not None
    assert (first.level, first.request, first.response, first.omit_managed_fields) == ("RequestResponse", True, True, False)
    assert first.omit_stages == {"Panic", "RequestReceived"}
    assert (second.level, second.request, second.response, second.omit_managed_fields) == ("Request", True, False, True)
    assert second.omit_stages == {"Panic"}


def test_what_no_rule_matches_is_not_recorded() -> None:
    assert parse(document(rule(verbs=["create"]))).evaluate(get(POD), ALICE) is None


def test_who_is_not_known_is_in_no_list_of_users() -> None:
    cases: list[tuple[Obj, bool]] = [({"users": ["alice"]}, False), ({"userGroups": ["admins"]}, False), ({}, True)]
    for matching, recorded in cases:
        assert (parse(document(rule(**matching))).evaluate(get(POD), None) is not None) is recorded


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (document(), "loaded illegal policy with 0 rules"),
        (document({}), "rules[0].level: Required value"),
        (document(rule("Everything")),
         'rules[0].level: Unsupported value: "Everything": supported values: "None", "Metadata", "Request", "RequestResponse"'),
        (document(rule(nonResourceURLs=["healthz"])),
         "rules[0].nonResourceURLs[0]: Invalid value: \"healthz\": non-resource URL rules must begin with a '/' character"),
        (document(rule(nonResourceURLs=["/a*/b"])),
         "rules[0].nonResourceURLs[0]: Invalid value: \"/a*/b\": non-resource URL wildcards '*' must be the final character of "
         "the rule"),
        (document(rule(resources=[{"group": "rbac.authorization.k8s.io/v1beta1"}])),
         'rules[0].resources.group: Invalid value: "rbac.authorization.k8s.io/v1beta1": a lowercase RFC 1123 subdomain must'),
        (document(rule(resources=[{"resourceNames": ["a"]}])),
         'rules[0].resources.resourceNames: Invalid value: ["a"]: using resourceNames requires at least one resource'),
        (document(rule(omitStages=["Begin"])),
         'rules[0].omitStages[0]: Invalid value: "Begin": allowed stages are RequestReceived,ResponseStarted,'
         "ResponseComplete,Panic"),
        (document(rule(nonResourceURLs=["/a"], namespaces=["b"])),
         'rules[0].nonResourceURLs: Invalid value: ["/a"]: rules cannot apply to both regular resources and non-resource URLs'),
        (document({}, rule(omitStages=["Begin"])), "[rules[0].level: Required value, rules[1].omitStages[0]: Invalid value:"),
        (b"kind: Policy\napiVersion: audit.k8s.io/v1beta1\n",
         "unknown group version field audit.k8s.io/v1beta1, Kind=Policy in policy"),
        (b"kind: Pod\napiVersion: v1\n", 'failed decoding: no kind "Pod" is registered for version "v1"'),
        (b"a: [", "failed decoding: yaml: "),
        (b"", "failed decoding: "),
        (document(rule(users="alice")), "failed decoding: Expected `array | null`, got `str`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_upstreams_words(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert str(raised.value).startswith(f"loading audit policy file: {why}")
    assert str(raised.value).endswith(f": from file {path}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='loading audit policy file: failed to read file path ".*no.yaml": No such file'):
        load(tmp_path / "no.yaml")


def test_unknown_fields_are_told_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    policy = parse(document(rule(verb=["get"], resources=[{"grup": "apps"}]), omitStage=[]))
    assert policy.evaluate(get(POD), ALICE) is not None
    for field in ("omitStage", "rules[0].verb", "rules[0].resources[0].grup"):
        assert f'unknown field "{field}"' in caplog.text
    caplog.clear()
    parse(document(rule(), metadata={"name": "x"}))
    assert caplog.at_level(logging.WARNING) and not caplog.text


_TEXTS = st.lists(st.sampled_from(["", "*", "a", "pods", "pods/*", "*/log", "get", "/x*", "default"]), max_size=2)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"level": st.sampled_from(LEVELS)},
            optional={
                "users": _TEXTS,
                "userGroups": _TEXTS,
                "verbs": _TEXTS,
                "namespaces": _TEXTS,
                "omitStages": st.lists(st.sampled_from(STAGES), max_size=2),
                "resources": st.lists(st.fixed_dictionaries({"group": st.sampled_from(["", "*", "apps"]), "resources": _TEXTS})),
            },
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([POD, POD_LOG, DEPLOYMENT, "/healthz"]),
)
def test_adding_a_rule_behind_never_changes_what_one_before_has_decided(rules: list[Obj], path: str) -> None:
    before = parse(document(*rules)).evaluate(get(path), ALICE)
    after = parse(document(*rules, rule("RequestResponse"))).evaluate(get(path), ALICE)
    assert after is not None or before is None
    if before is not None:
        assert after is not None and after.level == before.level
