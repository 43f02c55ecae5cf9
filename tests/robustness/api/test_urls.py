"""Paths, queries and headers of every wrong shape."""

from __future__ import annotations

import base64
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.robustness.api.conftest import examples
from tests.robustness.api.hostile import TEXTS
from tests.robustness.api.target import Target

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
LISTS = (CONFIG_MAPS, "/api/v1/pods", "/api/v1/nodes", "/apis/apps/v1/deployments", "/apis/metrics.k8s.io/v1beta1/nodes")
OTHERS = ("/openapi/v2", "/openapi/v3", "/apis", "/version", "/metrics", "/healthz", "/livez/ping", "/readyz/etcd", "/")
PARAMETERS = (
    ("limit", "timeoutSeconds", "resourceVersion", "resourceVersionMatch", "continue", "fieldSelector", "labelSelector", "watch")
    + (
        "allowWatchBookmarks",
        "sendInitialEvents",
        "pretty",
        "dryRun",
        "fieldManager",
        "fieldValidation",
        "force",
        "gracePeriodSeconds",
    )
    + (
        "propagationPolicy",
        "orphanDependents",
        "timeout",
        "includeObject",
        "as",
        "tailLines",
        "container",
        "follow",
        "sinceSeconds",
    )
    + (
        "sinceTime",
        "limitBytes",
        "shardSelector",
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "hash",
        "exclude",
        "verbose",
    )
)
VALUES = (
    "",
    "x",
    "-1",
    "0",
    "9" * 25,
    "9" * 5000,
    "1e3",
    "1.5",
    "%00",
    "%ff",
    "null",
    "true",
    "%D9%A1",
    "%C2%B2",
    "1_0",
    "%2B1",
    "NaN",
    "1h",
)
SELECTORS = (
    [
        "a",
        "a=",
        "=a",
        "a==b",
        "a!=b",
        "!a",
        "!!a",
        "a in",
        "a in ()",
        "a in (b",
        "a in (b,,c)",
        "a notin (x)",
        "a>1",
        "a>x",
        "a<" + "9" * 30,
    ]
    + [
        "a,",
        "a,,b",
        ",",
        "()",
        "a=b=c",
        "in in (in)",
        "notin",
        "/a=b",
        "a/=b",
        "a/b/c=d",
        "-a=b",
        "é=ü",
        "a=\x00",
        "a = b\n",
        "a\\,b=c",
    ]
    + [
        "metadata.name=x",
        "metadata.name!=",
        "metadata.name=\\",
        "spec.foo=x",
        "status.phase=Running,",
        "x" * 100_000,
        "," * 10_000,
    ]
    + ["a in (" + ",".join(f"v{number}" for number in range(20_000)) + ")", ",".join(f"k{number}=v" for number in range(20_000))]
)
PATHS = (
    [
        "",
        "/",
        "//",
        "///api",
        "/api/",
        "/api/v1/",
        "/api//v1/pods",
        "/api/v1//pods",
        "/apis/",
        "/apis//",
        "/apis/apps",
        "/apis/apps/v1/",
    ]
    + [
        "/apis/apps/v9/deployments",
        "/apis/%00/v1/x",
        "/api/v1/namespaces//pods",
        "/api/v1/namespaces/%2e%2e/pods",
        "/api/v1/namespaces/../pods",
    ]
    + [
        f"{CONFIG_MAPS}/{name}"
        for name in ("..", "%2e", "a%2fb", "a%00b", "%ff%fe", "%25", "%", "%zz", "x" * 100_000, "a%0d%0ab", "é", "a;b")
    ]
    + [
        "/" + "a/" * 50_000,
        "/api/v1/namespaces/default/pods/x/log/y/z",
        "/api/v1/namespaces/default/pods/x/unknown",
        "/api/v1/watch/",
    ]
    + [
        "/api/v1/watch/namespaces/default/pods/x",
        "/api/v1/proxy/nodes/x",
        "/api/v1/nodes/x/proxy/..",
        "/api/v1/nodes/x:abc/proxy",
    ]
    + [
        "/api/v1/namespaces/default/services/a:b:c:d:e/proxy",
        "/api/v1/namespaces/default/pods/x:99999999/proxy",
        "/openapi/v3/../../etc",
    ]
    + [
        "/openapi/v3/apis/nope/v1",
        "/healthz/../x",
        "/livez/nope",
        "/metrics/x",
        "/logs/",
        "/debug/pprof/",
        "/debug/flags/v",
        "/.well-known/",
        "*",
    ]
    + ["http://x/api", "/api/v1/pods%3Flimit=1", "/api/v1/namespaces/default/status", "/api/v1/namespaces/default/namespaces/x"]
    + ["/api/v1/componentstatuses/x", "/apis/metrics.k8s.io/v1beta1/x", "/openid/v1/jwks", "/apis/example.com/v1/widgets"]
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO", "get", "é")
HEADERS = {
    "accept": [
        "",
        "*/*",
        "x",
        ";",
        "application/json;q=x",
        "application/json;q=nan",
        "application/json;as=Table",
        "=;=;=",
        ",;," * 10_000,
        "\x00",
    ]
    + [
        "application/json;as=Table;v=v1;g=x",
        "application/yaml;as=Table;v=v1;g=meta.k8s.io",
        "application/vnd.kubernetes.protobuf;as=Table",
    ]
    + [
        "application/cbor",
        "text/html",
        "application/json;stream=watch",
        "a" * 100_000,
        "application/json;as=APIGroupDiscoveryList;v=v9",
    ],
    "impersonate_user": ["", "x", "\x00", "system:serviceaccount:a", "system:serviceaccount:::", "a" * 100_000],
    "impersonate_group": ["x", ""],
    "impersonate_uid": ["x"],
    "impersonate_extra_%zz": ["y"],
    "authorization": [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x.y.z",
        "Basic x",
        "Bearer " + "a." * 5000,
        "Bearer eyJhbGciOiJub25lIn0.e30.",
    ],
    "user_agent": ["", "\x00", "curl", "x" * 10_000, "a/b/c (d)"],
    "audit_id": ["x" * 10_000, "é"],
    "upgrade": ["websocket", "SPDY/3.1", "h2c"],
    "accept_encoding": ["gzip", "gzip;q=0", "*", "br;q=x"],
    "range": ["bytes=0-"],
    "content_encoding": ["gzip"],
    "x_remote_user": ["admin"],
    "if_none_match": ['"x"', "*", "x" * 10_000],
    "origin": ["x", "https://x"],
    "sec_websocket_protocol": ["x", "base64url.bearer.authorization.k8s.io.%%%"],
}


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_a_parameter_of_any_value_is_taken_or_refused(target: Target, parameter: str) -> None:
    for url in (*LISTS, *OTHERS, f"{CONFIG_MAPS}/kube-root-ca.crt", "/api/v1/namespaces/default/pods/a/log"):
        for value in VALUES if parameter not in ("watch",) else ("", "x", "0", "%00"):
            target.send("GET", f"{url}?{parameter}={value}")
    for value in VALUES:
        target.send("DELETE", f"{CONFIG_MAPS}/nobody?{parameter}={value}")
        target.send("POST", f"{CONFIG_MAPS}?{parameter}={value}", {"metadata": {"name": "a"}})


@pytest.mark.parametrize("selector", SELECTORS, ids=[text[:20] for text in SELECTORS])
def test_a_selector_of_any_shape_is_taken_or_refused(target: Target, selector: str) -> None:
    for url in (*LISTS, "/api/v1/events"):
        for parameter in ("labelSelector", "fieldSelector"):
            target.send("GET", f"{url}?{parameter}={quote(selector)}")


TOKENS: list[object] = [
    {},
    None,
    [],
    {"v": 1, "rv": 1.5},
    *(
        {"v": "meta.k8s.io/v1", "rv": rv, "start": start}
        for rv in (1, 0, -5, 2**63, "x", 1e30, None)
        for start in ("a", "../x\x00", 1, "")
    ),
]


@pytest.mark.parametrize("token", TOKENS, ids=repr)
def test_a_continue_token_that_is_none_is_refused(target: Target, token: object) -> None:
    encoded = base64.urlsafe_b64encode(orjson.dumps(token)).decode()
    for url in LISTS:
        for shown in (encoded, encoded.rstrip("="), encoded[:-3], f"{encoded}%00"):
            target.send("GET", f"{url}?limit=1&continue={shown}")


@pytest.mark.parametrize("path", PATHS, ids=[path[:40] for path in PATHS])
def test_a_path_of_any_shape_is_answered(target: Target, path: str) -> None:
    for method in METHODS:
        target.send(method, path, b"{}", "application/merge-patch+json" if method == "PATCH" else "application/json")


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_any_value_is_answered(target: Target, name: str) -> None:
    for value in HEADERS[name]:
        for url in (*LISTS, *OTHERS, f"{CONFIG_MAPS}/nobody", "/api/v1/namespaces/default/pods/x/exec?command=a"):
            target.send("GET", url, **{name: value})
        target.send("POST", CONFIG_MAPS, {"metadata": {"name": "h"}}, **{name: value})
        target.send("DELETE", f"{CONFIG_MAPS}/h", **{name: value})


WORDS = st.sampled_from(
    ["api", "apis", "v1", "apps", "namespaces", "default", "pods", "a", "status", "log", "proxy", "watch", "", ".", *TEXTS]
)


@given(
    method=st.sampled_from(METHODS),
    parts=st.lists(WORDS, max_size=8),
    query=st.lists(st.tuples(st.sampled_from(PARAMETERS), st.sampled_from(VALUES)), max_size=4),
)
@examples(300)
def test_any_url_is_answered(target: Target, method: str, parts: list[str], query: list[tuple[str, str]]) -> None:
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    target.send(method, path + "?" + "&".join(f"{key}={value}" for key, value in query), b"{}")
