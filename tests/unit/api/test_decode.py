"""Request bodies become objects, or answers that say what is wrong as upstream does."""

from __future__ import annotations

import orjson
import pytest

from steersman.api.decode import FieldValidation, decode, typecheck
from steersman.api.groups import BODIES, BUILTIN
from steersman.api.kinds import KindSpec
from steersman.machinery.errors import BadRequest, UnsupportedMediaType
from steersman.machinery.gvk import GroupVersionKind
from steersman.machinery.meta import Obj

JSON = "application/json"


def spec_of(kind: str, group: str = "") -> KindSpec:
    return next(spec for spec in BUILTIN if spec.kind == kind and spec.resource.group == group)


POD, SERVICE, CONFIG_MAP = spec_of("Pod"), spec_of("Service"), spec_of("ConfigMap")
DEPLOYMENT, LEASE = spec_of("Deployment", "apps"), spec_of("Lease", "coordination.k8s.io")


def body_of(kind: KindSpec, **fields: object) -> bytes:
    return orjson.dumps({"kind": kind.kind, "apiVersion": kind.resource.api_version, **fields})


@pytest.mark.parametrize(
    ("spec", "fields", "complaint"),
    [
        (
            DEPLOYMENT,
            {"spec": {"replicas": "3"}},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            DEPLOYMENT,
            {"spec": {"replicas": 1.5}},
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            DEPLOYMENT,
            {"spec": {"replicas": 2**31}},
            "json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            DEPLOYMENT,
            {"spec": {"template": {"spec": {"containers": [{"env": [{"name": "A", "value": 1}]}]}}}},
            "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
        ),
        (
            POD,
            {"spec": {"containers": {"name": "a"}}},
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (POD, {"spec": []}, "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"),
        (
            POD,
            {"metadata": {"labels": {"a": True}}},
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            SERVICE,
            {"spec": {"ports": [{"port": 80, "targetPort": True}]}},
            "json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32",
        ),
        (
            POD,
            {"spec": {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}},
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (CONFIG_MAP, {"binaryData": {"a": "%%%"}}, "illegal base64 data at input byte 0"),
        (
            POD,
            {"status": {"startTime": "yesterday"}},
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
        ),
        (
            LEASE,
            {"spec": {"renewTime": "2024-01-02T03:04:05Z"}},
            'parsing time "2024-01-02T03:04:05Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000"',
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_in_go_words(spec: KindSpec, fields: Obj, complaint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(body_of(spec, **fields), JSON, spec, "Ignore")
    version = spec.resource.version
    assert str(caught.value) == f'{spec.kind} in version "{version}" cannot be handled as a {spec.kind}: {complaint}'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            b"",
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
            "unexpected end of JSON input (<empty>)",
        ),
        (
            b'{"kind":"Pod","apiVersion":"v1","metadata":{}',
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
            'unexpected end of JSON input ({"kind":"Pod","apiVersion":"v1 ...)',
        ),
        (
            b"nope",
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
            "invalid character 'n' looking for beginning of value (6e6f7065)",
        ),
        (
            b'{"kind":"Foo","apiVersion":"v1"}',
            'Foo in version "v1" cannot be handled as a Pod: no kind "Foo" is registered for version "v1" in scheme '
            '"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"',
        ),
        (
            b'{"kind":"ConfigMap","apiVersion":"v1"}',
            'ConfigMap in version "v1" cannot be handled as a Pod: converting (v1.ConfigMap) to (core.Pod): unknown conversion',
        ),
    ],
)
def test_a_body_that_is_no_such_object_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(body, JSON, POD)
    assert str(caught.value) == message


def test_an_event_of_the_other_group_is_not_taken_for_one_of_this() -> None:
    body = b'{"kind":"Event","apiVersion":"events.k8s.io/v1"}'
    with pytest.raises(BadRequest) as caught:
        decode(body, JSON, spec_of("Event"))
    assert str(caught.value) == "the API version in the data (events.k8s.io/v1) does not match the expected API version (v1)"


SURPRISING = b'{"spec":{"foo":1,"replicas":1,"replicas":2,"template":{"spec":{"containers":[{"name":"a","bar":{}}]}}}}'
FINDINGS = ['unknown field "spec.foo"', 'unknown field "spec.template.spec.containers[0].bar"', 'duplicate field "spec.replicas"']


def test_strict_refuses_unknown_and_duplicate_fields() -> None:
    with pytest.raises(BadRequest) as caught:
        decode(SURPRISING, JSON, DEPLOYMENT, "Strict")
    lead = 'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
    assert str(caught.value) == lead + ", ".join(FINDINGS)


@pytest.mark.parametrize(("mode", "warnings"), [("Warn", FINDINGS), ("Ignore", [])])
def test_otherwise_unknown_fields_are_dropped_and_the_last_duplicate_wins(mode: FieldValidation, warnings: list[str]) -> None:
    obj, found = decode(SURPRISING, JSON, DEPLOYMENT, mode)
    assert found == warnings
    assert obj["spec"]["replicas"] == 2
    assert "foo" not in obj["spec"]
    assert "bar" not in obj["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("body", [b'{"data": {"a" : "1", "a" : "2"}}', b'{\n  "data": {"a": "x\\":y", "a": "2"}\n}'])
def test_a_repeated_key_is_found_whatever_the_layout(body: bytes) -> None:
    assert decode(body, JSON, CONFIG_MAP)[1] == ['duplicate field "data.a"']


def test_kind_and_version_may_be_left_out() -> None:
    obj, _ = decode(b'{"data":{"a":"1"}}', "", CONFIG_MAP, "Strict")
    assert obj == {"kind": "ConfigMap", "apiVersion": "v1", "data": {"a": "1"}}


def test_nulls_are_dropped_but_keep_their_places_in_lists_and_maps() -> None:
    fields = {
        "metadata": {"creationTimestamp": None, "labels": {"a": None}},
        "spec": {"nodeName": None, "containers": [{"args": ["x", None], "command": None}, None]},
    }
    obj = orjson.loads(body_of(POD, **fields))
    assert typecheck(obj, POD).errors == []
    assert obj["metadata"] == {"labels": {"a": ""}}
    assert obj["spec"] == {"containers": [{"args": ["x", ""]}, {}]}


def test_bytes_and_lists_of_null_are_empty() -> None:
    obj, _ = decode(b'{"data":{"a":null},"binaryData":{"b":null}}', JSON, CONFIG_MAP)
    assert (obj["data"], obj["binaryData"]) == ({"a": ""}, {"b": ""})
    review = spec_of("SubjectAccessReview", "authorization.k8s.io")
    obj, _ = decode(b'{"spec":{"user":"u","extra":{"a":null},"groups":[null]}}', JSON, review)
    assert obj["spec"] == {"user": "u", "extra": {"a": []}, "groups": [""]}


def test_nulls_in_free_form_values_stay() -> None:
    spec = spec_of("ControllerRevision", "apps")
    obj, _ = decode(b'{"metadata":{"name":null},"data":{"spec":{"a":null}},"revision":1}', JSON, spec)
    assert obj["data"] == {"spec": {"a": None}}
    assert obj["metadata"] == {}


def test_quantities_and_times_become_canonical() -> None:
    resources = {"limits": {"cpu": 0.5, "memory": "1024Mi"}, "requests": {"cpu": "0.0001", "memory": 1000}}
    volumes = [{"name": "v", "emptyDir": {"sizeLimit": "1024Ki"}}]
    status = {"startTime": "2024-01-02T05:04:05.5+02:00"}
    body = body_of(POD, spec={"containers": [{"resources": resources}], "volumes": volumes}, status=status)
    obj, warnings = decode(body, JSON, POD, "Strict")
    assert warnings == []
    assert obj["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}
    assert obj["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1m", "memory": "1k"}
    assert obj["spec"]["volumes"][0]["emptyDir"] == {"sizeLimit": "1Mi"}
    assert obj["status"]["startTime"] == "2024-01-02T03:04:05Z"


def test_yaml_is_read_like_json() -> None:
    obj, warnings = decode(b"kind: ConfigMap\napiVersion: v1\ndata:\n  a: b\n  a: c\n", "application/yaml", CONFIG_MAP)
    assert obj["data"] == {"a": "c"}
    assert warnings == ['line 5: key "a" already set in map']


def test_other_media_types_are_not_understood() -> None:
    with pytest.raises(UnsupportedMediaType):
        decode(b"\xa0", "application/cbor", POD)


def test_delete_options_come_in_any_group_version() -> None:
    spec = BODIES[GroupVersionKind("", "v1", "DeleteOptions")]
    obj, _ = decode(b'{"kind":"DeleteOptions","apiVersion":"apps/v1","gracePeriodSeconds":5}', JSON, spec)
    assert obj["gracePeriodSeconds"] == 5


def test_a_patched_object_tells_all_that_is_wrong_with_it() -> None:
    checked = typecheck({"spec": {"replicas": "x", "foo": 1}}, DEPLOYMENT)
    assert len(checked.errors) == 1
    assert checked.strict == ['unknown field "spec.foo"']
