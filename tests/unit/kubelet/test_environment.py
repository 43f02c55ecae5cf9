"""What a container sees: environment, names, resources. Pure functions, by table."""

from __future__ import annotations

import base64

import pytest

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import Image
from steersman.kubelet import env, naming, resources, security
from steersman.kubelet.expansion import expand
from steersman.kubelet.images import credentials, with_default_tag
from steersman.kubelet.terminating import grace_period
from steersman.machinery.meta import Obj


def pod(**spec: object) -> Obj:
    return {"metadata": {"name": "web", "namespace": "ns", "uid": "u1", "labels": {"b": "2", "a": '1"'}}, "spec": spec}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"), ("$(A)", "1"), ("$$(A)", "$(A)"), ("$(MISSING)", "$(MISSING)"), ("$$$(A)", "$1"), ("$", "$"),
        ("$(A", "$(A"), ("a$(A)b$(B)", "a1b2"),
    ],
)  # fmt: skip
def test_expansion(text: str, wanted: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == wanted


def test_the_environment_is_built_in_upstreams_order() -> None:
    service = {
        "metadata": {"name": "my-db", "namespace": "ns"},
        "spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "sql-main", "port": 5432, "protocol": "TCP"}]},
    }
    kubernetes = {
        "metadata": {"name": "kubernetes", "namespace": "default"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443}]},
    }
    foreign = {**service, "metadata": {"name": "other", "namespace": "elsewhere"}}
    spec = {
        "name": "a",
        "envFrom": [{"configMapRef": {"name": "cm"}, "prefix": "P_"}, {"secretRef": {"name": "lost", "optional": True}}],
        "env": [
            {"name": "URL", "value": "$(MY_DB_SERVICE_HOST)/$(P_K)/$(LATER)"},
            {"name": "LATER", "value": "x"},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['b']"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
            {"name": "GONE", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "none", "optional": True}}},
        ],
    }
    maps: dict[str, Obj] = {"cm": {"data": {"K": "v"}}}
    secrets: dict[str, Obj] = {"s": {"data": {"k": base64.b64encode(b"shh").decode()}}}
    sources = env.Sources(
        maps.get,
        secrets.get,
        [service, kubernetes, foreign],
        {"cpu": 2000},
        ("192.168.0.1",),
        ("10.0.0.1",),
    )
    found = env.environment(pod(containers=[spec]), spec, sources)
    assert list(found.items())[:8] == [
        ("P_K", "v"), ("URL", "10.96.0.7/v/$(LATER)"), ("LATER", "x"), ("S", "shh"), ("L", "2"), ("IP", "10.0.0.1"),
        ("CPU", "2000"), ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
    ]  # fmt: skip
    assert found["MY_DB_PORT_5432_TCP"] == "tcp://10.96.0.7:5432"
    assert found["MY_DB_SERVICE_PORT_SQL_MAIN"] == "5432"
    assert not any(name.startswith("OTHER") for name in found)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ({"secretKeyRef": {"name": "s", "key": "x"}}, "couldn't find key x in Secret ns/s"),
        ({"configMapKeyRef": {"name": "no", "key": "x"}}, 'configmap "no" not found'),
    ],
)
def test_what_is_missing_is_named(variable: Obj, text: str) -> None:
    spec = {"name": "a", "env": [{"name": "A", "valueFrom": variable}]}
    secrets: dict[str, Obj] = {"s": {"data": {}}}
    sources = env.Sources(lambda name: None, secrets.get, [])
    with pytest.raises(RuntimeFault, match=text) as caught:
        env.environment(pod(containers=[spec]), spec, sources)
    assert caught.value.reason == "CreateContainerConfigError"


def test_hosts_and_hostnames() -> None:
    given = pod(hostname="h", subdomain="sub", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["x", "y"]}])
    text = naming.hosts_file(given, ("10.0.0.1",), "cluster.local")
    assert "\n10.0.0.1\th.sub.ns.svc.cluster.local\th\n" in text
    assert text.endswith("\n# Entries added by HostAliases.\n1.2.3.4\tx\ty\n")
    assert naming.kernel_hostname({**given, "spec": {**given["spec"], "setHostnameAsFQDN": True}}, "c") == "h.sub.ns.svc.c"
    assert naming.hostname({"metadata": {"name": "a" * 62 + ".b"}}) == "a" * 62


HOST = naming.ResolvConf(["1.1.1.1"], ["corp"], ["ndots:2"])


@pytest.mark.parametrize(
    ("spec", "servers", "searches", "options"),
    [
        ({}, ("10.96.0.10",), ("ns.svc.c", "svc.c", "c", "corp"), ("ndots:5",)),
        ({"dnsPolicy": "Default"}, ("1.1.1.1",), ("corp",), ("ndots:2",)),
        ({"dnsPolicy": "ClusterFirst", "hostNetwork": True}, ("1.1.1.1",), ("corp",), ("ndots:2",)),
        (
            {"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True},
            ("10.96.0.10",), ("ns.svc.c", "svc.c", "c", "corp"), ("ndots:5",),
        ),
        (
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"], "options": [{"name": "ndots", "value": "1"}]}},
            ("9.9.9.9",), (), ("ndots:1",),
        ),
        ({"dnsConfig": {"options": [{"name": "ndots", "value": "3"}, {"name": "edns0"}]}},
         ("10.96.0.10",), ("ns.svc.c", "svc.c", "c", "corp"), ("ndots:3", "edns0")),
    ],
)  # fmt: skip
def test_dns_policies(spec: Obj, servers: tuple[str, ...], searches: tuple[str, ...], options: tuple[str, ...]) -> None:
    made, warnings = naming.dns_config(pod(**spec), HOST, ("10.96.0.10",), "c")
    assert (made.servers, made.searches, made.options) == (servers, searches, options)
    assert warnings == []


def test_too_many_nameservers_are_cut_and_told() -> None:
    given = pod(dnsConfig={"nameservers": ["1", "2", "3"]})
    made, warnings = naming.dns_config(given, HOST, ("10.96.0.10",), "c")
    assert made.servers == ("10.96.0.10", "1", "2")
    assert warnings == [(
        "DNSConfigForming",
        "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 10.96.0.10 1 2",
    )]  # fmt: skip


def limited(requests: Obj, limits: Obj | None = None, **more: object) -> Obj:
    return {"name": "a", "resources": {"requests": requests, **({"limits": limits} if limits else {})}, **more}


def test_pod_totals_count_the_larger_of_init_and_running() -> None:
    given = pod(
        containers=[limited({"cpu": "500m"}), limited({"cpu": "1"})],
        initContainers=[
            limited({"cpu": "2"}),
            limited({"cpu": "100m"}, restartPolicy="Always"),
            limited({"cpu": "1"}),
        ],
        overhead={"cpu": "10m"},
    )
    assert resources.pod_total(given, "requests") == {"cpu": 2010}


@pytest.mark.parametrize(
    ("spec", "qos", "shares", "quota", "score", "parent"),
    [
        ({}, "BestEffort", 2, 0, 1000, "/kp/besteffort/podu1"),
        ({"requests": {"cpu": "250m", "memory": "1Gi"}}, "Burstable", 256, 0, 900, "/kp/burstable/podu1"),
        (
            {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
            "Guaranteed", 1024, 100000, -997, "/kp/podu1",
        ),
        ({"limits": {"cpu": "5m"}}, "Burstable", 5, 1000, 999, "/kp/burstable/podu1"),
    ],
)  # fmt: skip
def test_kernel_numbers(spec: Obj, qos: str, shares: int, quota: int, score: int, parent: str) -> None:
    container = {"name": "a", "resources": spec}
    given = pod(containers=[container])
    made = resources.container_resources(given, container, 10 * 1024**3)
    assert (made.cpu_shares, made.cpu_quota, made.oom_score_adj) == (shares, quota, score)
    assert resources.cgroup_parent(given, "kp") == parent


def test_a_container_without_limits_of_its_own_has_those_of_the_pod() -> None:
    own = {"name": "own", "resources": {"requests": {"cpu": "20m"}, "limits": {"cpu": "50m", "memory": "1Gi"}}}
    bare = {"name": "bare"}
    given = pod(containers=[own, bare], resources={"limits": {"cpu": "100m", "memory": "2Gi"}})
    kept, inherited = (resources.container_resources(given, each, 10 * 1024**3) for each in (own, bare))
    assert (kept.cpu_shares, kept.cpu_quota, kept.memory_limit) == (20, 5000, 1024**3)
    assert (inherited.cpu_shares, inherited.cpu_quota, inherited.memory_limit) == (102, 10000, 2 * 1024**3)
    assert resources.heirs(given) == {"bare"}


def test_memory_that_only_the_pod_asks_for_protects_all_its_containers_alike() -> None:
    asking, bare = limited({"memory": "2Gi"}), {"name": "b"}
    given = pod(containers=[asking, bare], resources={"requests": {"memory": "4Gi"}})
    assert [resources.oom_score_adj(given, each, 10 * 1024**3) for each in (asking, bare)] == [700, 900]


def test_a_sidecar_is_protected_like_the_least_protected_of_those_it_serves() -> None:
    sidecar = {"name": "s", "restartPolicy": "Always"}
    given = pod(containers=[limited({"memory": "2Gi"}), {**limited({"memory": "1Gi"}), "name": "b"}], initContainers=[sidecar])
    assert resources.oom_score_adj(given, sidecar, 10 * 1024**3) == 900


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 100), (262144, 10000), (512, 59)])
def test_cpu_weight(shares: int, weight: int) -> None:
    assert resources.cpu_weight(shares) == weight


@pytest.mark.parametrize(
    ("context", "image", "refusal"),
    [
        ({}, Image("i", (), (), 1, 0, ""), None),
        ({"runAsNonRoot": True, "runAsUser": 0}, None, "breaks non-root policy"),
        ({"runAsNonRoot": True, "runAsUser": 5}, Image("i", (), (), 1, 0, ""), None),
        ({"runAsNonRoot": True}, Image("i", (), (), 1, None, ""), "image will run as root"),
        ({"runAsNonRoot": True}, Image("i", (), (), 1, None, "www"), "image has non-numeric user"),
        ({"runAsNonRoot": True}, Image("i", (), (), 1, 33, ""), None),
    ],
)
def test_non_root_is_enforced(context: Obj, image: Image | None, refusal: str | None) -> None:
    container = {"name": "a", "securityContext": context}
    if refusal is None:
        security.verify_non_root(pod(containers=[container]), container, image)
    else:
        with pytest.raises(RuntimeFault, match=refusal):
            security.verify_non_root(pod(containers=[container]), container, image)


@pytest.mark.parametrize(
    ("asked", "in_force", "override", "wanted"),
    [(None, None, None, 30), (10, None, None, 10), (10, 5, None, 5), (2, 5, None, 2), (0, None, None, 1), (10, None, 3, 3),
     (None, 7, None, 7), (5, 20, 60, 5)],
)  # fmt: skip
def test_grace_periods_never_grow(asked: int | None, in_force: int | None, override: int | None, wanted: int) -> None:
    given = pod(terminationGracePeriodSeconds=30)
    if asked is not None:
        given["metadata"]["deletionGracePeriodSeconds"] = asked
    assert grace_period(given, in_force, override) == wanted


@pytest.mark.parametrize(
    ("image", "wanted"),
    [("nginx", "nginx:latest"), ("nginx:1", "nginx:1"), ("r:5000/a/b", "r:5000/a/b:latest"), ("a@sha256:1", "a@sha256:1")],
)
def test_default_tags(image: str, wanted: str) -> None:
    assert with_default_tag(image) == wanted


def test_pull_secrets_are_chosen_by_registry_and_path() -> None:
    def secret(text: str) -> Obj:
        return {"data": {".dockerconfigjson": base64.b64encode(text.encode()).decode()}}

    both = secret('{"auths": {"r.io": {"username": "all", "password": "p"}, "https://r.io/team/": {"auth": "dDpx"}}}')
    hub = secret('{"auths": {"https://index.docker.io/v1/": {"username": "hub", "password": "p"}}}')
    assert [each.username for each in credentials("r.io/team/app:1", [both, hub])] == ["t", "all"]
    assert [each.username for each in credentials("r.io/other:1", [both, hub])] == ["all"]
    assert [each.username for each in credentials("library/nginx:1", [both, hub])] == ["hub"]
