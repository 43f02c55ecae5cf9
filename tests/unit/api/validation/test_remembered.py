"""Specs that were valid once are known again, and nothing passes that way which would not pass by itself."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from steersman.api.validation import podspec, remembered
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj

Change = Callable[[Obj], object]


def spec(token: str = "kube-api-access-abcde") -> Obj:
    container = {
        "name": "app",
        "image": "app:1",
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePolicy": "File",
        "volumeMounts": [{"name": token, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
    }
    return {
        "containers": [container],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "volumes": [{"name": token, "emptyDir": {}}, {"name": "data", "emptyDir": {}}],
    }


def found(made: Obj, pod: str = "web") -> list[FieldError]:
    errors: list[FieldError] = []
    remembered.pod_spec(errors, made, pod)
    return errors


def judged(made: Obj, pod: str = "web") -> list[FieldError]:
    errors: list[FieldError] = []
    podspec.pod_spec(errors, "spec", made, is_pod=True, pod_name=pod)
    return errors


def test_pods_that_differ_in_the_suffix_of_the_token_volume_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(spec()) == []
    monkeypatch.setattr(podspec, "pod_spec", lambda *_args, **_named: pytest.fail("judged again"))
    assert found(spec()) == [] and found(spec("kube-api-access-zz9z9")) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made["volumes"][0].update(name="kube-api-access-ABCDE"),
        lambda made: made["volumes"][0].update(name="kube-api-access-?"),
        lambda made: made["volumes"][0].update(name="\0"),
        lambda made: made["volumes"][0].update(name="kube-api-access-äöüäö"),
        lambda made: made["volumes"][1].update(name="kube-api-access-abcde"),
        lambda made: made["volumes"][1].update(name="kube-api-access-fghij"),
        lambda made: made["volumes"].pop(0),
        lambda made: made["containers"][0]["volumeMounts"][0].update(name="kube-api-access-fghij"),
        lambda made: made["containers"].append(made["containers"][0]),
        lambda made: made.update(restartPolicy="Sometimes"),
    ],
)
def test_what_is_close_to_a_valid_spec_is_judged_as_if_it_came_first(change: Change) -> None:
    assert found(spec()) == []
    made = spec()
    change(made)
    assert found(made) == judged(copy.deepcopy(made))


def test_errors_are_told_every_time() -> None:
    wrong = spec() | {"dnsPolicy": "Somewhere"}
    assert found(wrong) and found(wrong) == found(wrong)


def test_a_volume_named_after_its_pod_is_judged_with_each_pod() -> None:
    claim = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    made = spec()
    made["volumes"][1] = {"name": "data", "ephemeral": {"volumeClaimTemplate": claim}}
    assert found(made) == []
    assert found(made, "w" * 250) == judged(made, "w" * 250) != []


def test_only_so_many_are_remembered() -> None:
    for number in range(1000):
        assert found(spec() | {"nodeSelector": {"number": str(number)}}) == []
    assert len(remembered._valid) <= 256
