"""Where logs, execs and proxied requests go, and what is refused on the way."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.server import pod

from steersman.apiserver.nodeproxy import locate
from steersman.apiserver.nodeproxy.locate import ProxyName, Target
from steersman.machinery.errors import BadRequest, InternalError, Invalid, ServiceUnavailable
from steersman.machinery.meta import Obj


def two_containers() -> Obj:
    found = pod()
    found["spec"]["containers"].append({"name": "d", "image": "x"})
    found["spec"]["initContainers"] = [{"name": "i", "image": "x"}]
    return found


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ([], "/containerLogs/default/web/c"),
        (
            [("follow", "true"), ("tailLines", "5"), ("previous", "false"), ("timestamps", "1"), ("container", "c")],
            "/containerLogs/default/web/c?follow=true&timestamps=true&tailLines=5",
        ),
        ([("follow", "False"), ("timestamps", "True")], "/containerLogs/default/web/c?timestamps=true"),
    ],
)
def test_log_queries_become_the_kubelets(query: list[tuple[str, str]], path: str) -> None:
    assert locate.log_path(pod(), query) == path


@pytest.mark.parametrize(
    ("what", "query", "path"),
    [
        (
            "exec",
            [("command", "sh"), ("command", "-c"), ("stdin", "true"), ("stdout", "1"), ("stderr", "false"), ("tty", "true")],
            "/exec/default/web/c?input=1&output=1&tty=1&command=sh&command=-c",
        ),
        ("attach", [("container", "c"), ("stdout", "true")], "/attach/default/web/c?output=1"),
        (
            "exec",
            [("command", "a"), ("stdout", "True"), ("tty", "False"), ("stdin", "0")],
            "/exec/default/web/c?output=1&command=a",
        ),
        ("portforward", [("ports", "80")], "/portForward/default/web?port=80"),
    ],
)
def test_stream_queries_become_the_kubelets(what: str, query: list[tuple[str, str]], path: str) -> None:
    assert locate.stream_path(pod(), what, query) == path


def test_a_container_must_be_named_where_there_are_several() -> None:
    text = "a container name must be specified for pod web, choose one of: [c d] or one of the init containers: [i]"
    with pytest.raises(BadRequest) as caught:
        locate.container_of(two_containers(), "")
    assert caught.value.message == text
    assert locate.container_of(two_containers(), "i") == "i"
    with pytest.raises(BadRequest, match="^container x is not valid for pod web$"):
        locate.container_of(two_containers(), "x")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            [("tailLines", "-1")],
            'PodLogOptions "web" is invalid: tailLines: Invalid value: -1: must be greater than or equal',
        ),
        ([("limitBytes", "0")], "limitBytes: Invalid value: 0: must be greater than 0"),
        ([("sinceSeconds", "1"), ("sinceTime", "x")], "at most one of `sinceTime` or `sinceSeconds` may be specified"),
    ],
)
def test_log_options_are_checked(query: list[tuple[str, str]], text: str) -> None:
    with pytest.raises(Invalid) as caught:
        locate.log_path(pod(), query)
    assert text in caught.value.message


def test_a_kubelet_is_where_its_node_says() -> None:
    node: Obj = {
        "status": {
            "addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10260}},
        }
    }
    assert locate.kubelet_of(node) == ("10.0.0.1", 10260)
    with pytest.raises(InternalError):
        locate.kubelet_of({"status": {}})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("web", ProxyName("", "web", "")),
        ("web:80", ProxyName("", "web", "80")),
        ("https:web:", ProxyName("https", "web", "")),
        ("http:web:p", ProxyName("http", "web", "p")),
    ],
)
def test_proxy_names_have_schemes_and_ports(text: str, found: ProxyName) -> None:
    assert locate.proxy_name("service", text) == found


def test_malformed_proxy_names_are_refused() -> None:
    with pytest.raises(BadRequest, match='^invalid service request "ftp:web:1"$'):
        locate.proxy_name("service", "ftp:web:1")


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.1.1", "224.0.0.1", ""])
def test_pods_at_special_addresses_are_not_proxied(address: str) -> None:
    with pytest.raises(BadRequest, match="^address not allowed$"):
        locate.pod_target({**pod(), "status": {"podIP": address}}, ProxyName("", "web", ""), "/")


def test_a_pod_is_reached_at_its_first_port() -> None:
    found: Obj = {**pod(), "status": {"podIP": "10.1.1.1"}}
    found["spec"]["containers"][0]["ports"] = [{"containerPort": 8080}]
    assert locate.pod_target(found, ProxyName("", "web", ""), "/x") == Target("http", "10.1.1.1", 8080, "/x")
    assert locate.pod_target(found, ProxyName("https", "web", "443"), "/x").origin == "https://10.1.1.1:443"


def service(**spec: Any) -> Obj:
    return {"metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}], **spec}}


def test_a_service_is_reached_at_its_ready_endpoints() -> None:
    ready = {
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": ["10.1.1.1"]}, {"addresses": ["10.1.1.2"], "conditions": {"ready": False}}],
    }
    found = [Target("http", "10.1.1.1", 8080, "/")]
    assert locate.service_targets(service(), [ready], ProxyName("", "web", "http"), "/") == found
    assert locate.service_targets(service(), [ready], ProxyName("", "web", "80"), "/") == found
    with pytest.raises(ServiceUnavailable, match='^no service port "x" found for service "web"$'):
        locate.service_targets(service(), [ready], ProxyName("", "web", "x"), "/")
    with pytest.raises(ServiceUnavailable, match='^no endpoints available for service "web"$'):
        locate.service_targets(service(), [ready], ProxyName("", "web", "admin"), "/")
