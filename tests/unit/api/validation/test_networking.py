"""What is wrong with ingresses, network policies and the objects behind service addresses, in upstream's words."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from steersman.api.groups import networking_v1 as group
from steersman.api.kinds import KindSpec
from steersman.machinery.meta import Obj

Change = Callable[[Obj], object]
SERVICE: Obj = {"service": {"name": "web", "port": {"number": 80}}}
PATHS = "spec.rules[0].http.paths"
FAMILIES = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"


def made(kind: KindSpec, spec: Obj, **metadata: Any) -> Obj:
    obj: Obj = {"kind": kind.kind, "metadata": {"name": "x", **metadata}, "spec": copy.deepcopy(spec)}
    kind.default(obj)
    kind.strategy.prepare_create(obj)
    return obj


def found(kind: KindSpec, spec: Obj, **metadata: Any) -> list[str]:
    return [str(error) for error in kind.strategy.validate_create(made(kind, spec, **metadata))]


def changed(kind: KindSpec, spec: Obj, change: Change) -> list[str]:
    old = made(kind, spec)
    new = copy.deepcopy(old)
    change(new["spec"])
    return [str(error) for error in kind.strategy.validate_update(new, old)]


def path(**fields: Any) -> Obj:
    return {"rules": [{"http": {"paths": [{"pathType": "Prefix", "path": "/", "backend": SERVICE, **fields}]}}]}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"defaultBackend": SERVICE}, []),
        (path(), []),
        ({}, ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
        ({"rules": [{"host": "1.2.3.4"}]}, [
            'spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address'
        ]),
        ({"rules": [{"host": "*.example.com"}]}, []),
        ({"rules": [{"host": "a.*.com", "http": {}}]}, [
            'spec.rules[0].host: Invalid value: "a.*.com": a wildcard DNS-1123 subdomain must start with \'*.\', followed by a '
            "valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an "
            "alphanumeric character (e.g. '*.example.com', regex used for validation is "
            "'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            f"{PATHS}: Required value",
        ]),
        (path(pathType=None), [f"{PATHS}[0].pathType: Required value: pathType must be specified"]),
        (path(pathType="Some"), [
            f'{PATHS}[0].pathType: Unsupported value: "Some": supported values: "Exact", "ImplementationSpecific", "Prefix"'
        ]),
        (path(path="a//b/.."), [
            f'{PATHS}[0].path: Invalid value: "a//b/..": must be an absolute path',
            f'{PATHS}[0].path: Invalid value: "a//b/..": must not contain \'//\'',
            f'{PATHS}[0].path: Invalid value: "a//b/..": cannot end with \'/..\'',
        ]),
        (path(pathType="ImplementationSpecific", path=""), []),
        (path(backend={}), [f'{PATHS}[0].backend: Invalid value: "": resource or service backend is required']),
        (path(backend={"service": {"port": {}}}), [
            f"{PATHS}[0].backend.service.name: Required value",
            f"{PATHS}[0].backend: Required value: port name or number is required",
        ]),
        ({"defaultBackend": {"service": {"name": "a", "port": {"name": "b", "number": 1}}}}, [
            'spec.defaultBackend: Invalid value: "": cannot set both port name & port number'
        ]),
        ({"defaultBackend": {"resource": {"kind": "K"}, **SERVICE}}, [
            'spec.defaultBackend: Invalid value: "": cannot set both resource and service backends'
        ]),
        ({"defaultBackend": {"resource": {"kind": "K"}}}, ["spec.defaultBackend.resource.name: Required value"]),
    ],
)  # fmt: skip
def test_an_ingress_leads_somewhere(spec: Obj, expected: list[str]) -> None:
    assert found(group.INGRESSES, spec) == expected


def test_the_class_of_an_ingress_is_named_once() -> None:
    annotations = {"kubernetes.io/ingress.class": "a"}
    spec = {"defaultBackend": SERVICE}
    assert found(group.INGRESSES, {**spec, "ingressClassName": "b"}, annotations=annotations) == [
        'annotations.kubernetes.io/ingress.class: Invalid value: "a": must match `ingressClassName` when both are specified'
    ]
    warnings = group.INGRESSES.strategy.warnings
    assert warnings is not None and warnings(made(group.INGRESSES, spec, annotations=annotations), None) == [
        "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
    ]


def test_the_addresses_of_an_ingress_are_addresses() -> None:
    new = made(group.INGRESSES, {"defaultBackend": SERVICE})
    new["status"] = {"loadBalancer": {"ingress": [{"ip": "x"}, {"hostname": "1.2.3.4"}]}}
    assert [str(error) for error in group.INGRESSES.strategy.validate_status_update(new, new)] == [
        'status.loadBalancer.ingress[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        'status.loadBalancer.ingress[1].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
    ]


CONTROLLER = "example.com/proxy"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"controller": CONTROLLER}, []),
        ({"controller": CONTROLLER, "parameters": {"kind": "K", "name": "n"}}, []),
        ({}, ["spec.controller: Required value"]),
        ({"controller": "x"}, [
            'spec.controller: Invalid value: "x": must be a domain-prefixed path (such as "acme.io/foo")'
        ]),
        ({"controller": "x.y/ "}, [
            "spec.controller: Invalid value: \" \": Invalid path (regex used for validation is "
            "'[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"
        ]),
        ({"controller": CONTROLLER, "parameters": {"name": "n", "scope": "Namespace"}}, [
            "spec.parameters.kind: Required value",
            "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
        ]),
        ({"controller": CONTROLLER, "parameters": {"kind": "K", "name": "n", "namespace": "a"}}, [
            "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"
        ]),
    ],
)  # fmt: skip
def test_an_ingress_class_has_a_controller(spec: Obj, expected: list[str]) -> None:
    assert found(group.INGRESS_CLASSES, spec) == expected


def rule(**port: Any) -> Obj:
    return {"ingress": [{"ports": [port]}]}


def peer(**fields: Any) -> Obj:
    return {"egress": [{"to": [fields]}]}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        (rule(port=80, endPort=90), []),
        (rule(port=80, endPort=70), [
            "spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`"
        ]),
        (rule(port="web", endPort=70), [
            "spec.ingress[0].ports[0].endPort: Invalid value: 70: may not be specified when `port` is non-numeric"
        ]),
        (rule(endPort=70), [
            "spec.ingress[0].ports[0].endPort: Invalid value: 70: may not be specified when `port` is not specified"
        ]),
        (rule(protocol="X"), [
            'spec.ingress[0].ports[0].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"'
        ]),
        (peer(), ["spec.egress[0].to[0]: Required value: must specify a peer"]),
        (peer(podSelector={}, ipBlock={"cidr": "10.0.0.0/8"}), [
            "spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer"
        ]),
        (peer(ipBlock={}), ["spec.egress[0].to[0].ipBlock.cidr: Required value"]),
        (peer(ipBlock={"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.0.0.0/8"]}), [
            'spec.egress[0].to[0].ipBlock.except[1]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`'
        ]),
        ({"policyTypes": ["Ingress", "Egress", "Ingress"]}, [
            'spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify more than two policyTypes'
        ]),
        ({"policyTypes": ["Both"]}, ['spec.policyTypes[0]: Unsupported value: "Both": supported values: "Egress", "Ingress"']),
    ],
)  # fmt: skip
def test_a_network_policy_says_whom_it_means(spec: Obj, expected: list[str]) -> None:
    assert found(group.NETWORK_POLICIES, spec) == expected


@pytest.mark.parametrize(
    ("spec", "types"), [({}, ["Ingress"]), ({"egress": [{}]}, ["Ingress", "Egress"]), ({"policyTypes": ["Egress"]}, ["Egress"])]
)
def test_a_network_policy_is_about_what_it_has_rules_for(spec: Obj, types: list[str]) -> None:
    assert made(group.NETWORK_POLICIES, spec)["spec"]["policyTypes"] == types


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("10.0.0.1", []),
        ("2001:db8::1", []),
        ("2001:DB8:0::1", ["must be in canonical form (2001:db8::1)"]),
        ("10.0.0.01", ["must not have leading 0s"]),
    ],
)
def test_an_address_is_named_after_itself(name: str, texts: list[str]) -> None:
    check = group.IP_ADDRESSES.strategy.validate_name
    assert check is not None and check(name) == texts


def test_an_address_belongs_to_something_for_good() -> None:
    parent = {"resource": "services", "name": "web", "namespace": "default"}
    assert found(group.IP_ADDRESSES, {}) == ["spec.parentRef: Required value"]
    assert found(group.IP_ADDRESSES, {"parentRef": {}}) == [
        "spec.parentRef.resource: Required value", "spec.parentRef.name: Required value"
    ]  # fmt: skip
    assert changed(group.IP_ADDRESSES, {"parentRef": parent}, lambda spec: spec["parentRef"].update(group="")) == []
    texts = changed(group.IP_ADDRESSES, {"parentRef": parent}, lambda spec: spec["parentRef"].update(name="other"))
    assert len(texts) == 1 and texts[0].endswith("field is immutable")


@pytest.mark.parametrize(
    ("cidrs", "expected"),
    [
        (["10.0.0.0/24"], []),
        (["10.0.0.0/24", "2001:db8::/64"], []),
        ([], ["spec.cidrs: Required value: at least one CIDR required"]),
        (["a", "b", "c"], ['spec.cidrs: Invalid value: {"cidrs":["a","b","c"]}: may only hold up to 2 values']),
        (["10.0.0.0/24", "10.0.1.0/24"], [f'spec.cidrs: Invalid value: {{"cidrs":["10.0.0.0/24","10.0.1.0/24"]}}: {FAMILIES}']),
        (["10.0.0.1/24"], ['spec.cidrs[0]: Invalid value: "10.0.0.1/24": must not have bits set beyond the prefix length']),
        (["2001:DB8::/64"], ['spec.cidrs[0]: Invalid value: "2001:DB8::/64": must be in canonical form (2001:db8::/64)']),
    ],
)  # fmt: skip
def test_services_get_their_addresses_from_one_range_per_family(cidrs: list[str], expected: list[str]) -> None:
    assert found(group.SERVICE_CIDRS, {"cidrs": cidrs}) == expected


def test_a_range_of_services_may_only_gain_a_family() -> None:
    spec = {"cidrs": ["10.0.0.0/24"]}
    assert changed(group.SERVICE_CIDRS, spec, lambda new: new["cidrs"].append("2001:db8::/64")) == []
    assert changed(group.SERVICE_CIDRS, spec, lambda new: new.update(cidrs=["10.1.0.0/24"])) == [
        'spec.cidrs: Invalid value: ["10.1.0.0/24"]: field is immutable'
    ]
