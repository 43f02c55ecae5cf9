"""ConversionReview: what a conversion webhook is asked, and what of its answer is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from steersman.api.customresources.conversion import Refused, converted, failed, review
from steersman.machinery.meta import Obj

GVK = "example.com/v1, Kind=Foo"
META: Obj = {"name": "a", "namespace": "n", "uid": "u", "labels": {"a": "b"}, "finalizers": ["x/y"]}
OBJECT: Obj = {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": META, "hostPort": "h:1"}
ANSWERED: Obj = {"apiVersion": "example.com/v2", "kind": "Foo", "metadata": META, "host": "h", "port": "1"}


def ask(versions: tuple[str, ...] = ("v1",)) -> Obj:
    return review(versions, "1234", "example.com/v2", [copy.deepcopy(OBJECT)])


def answer(asked: Obj, *objects: Any, **response: Any) -> Obj:
    found = {"uid": "1234", "result": {"status": "Success"}, "convertedObjects": copy.deepcopy(list(objects)), **response}
    return {"kind": "ConversionReview", "apiVersion": asked["apiVersion"], "response": found}


@pytest.mark.parametrize(
    ("versions", "chosen"), [(("v1", "v1beta1"), "v1"), (("v1beta1", "v1"), "v1beta1"), (("v7", "v1"), "v1")]
)
def test_it_is_asked_in_the_first_version_that_is_known(versions: tuple[str, ...], chosen: str) -> None:
    asked = ask(versions)
    assert asked["apiVersion"] == f"apiextensions.k8s.io/{chosen}"
    assert asked["request"] == {"uid": "1234", "desiredAPIVersion": "example.com/v2", "objects": [OBJECT]}


def test_without_a_known_version_nobody_is_asked() -> None:
    with pytest.raises(Refused, match="no supported conversion review versions"):
        ask(("v7",))


def test_labels_and_annotations_are_taken_and_the_rest_of_metadata_is_kept() -> None:
    asked = ask()
    meta = {**META, "labels": {"c": "d"}, "annotations": {"e": "f"}, "finalizers": [], "generation": 9}
    (found,) = converted(asked, answer(asked, {**ANSWERED, "metadata": meta}))
    assert found["metadata"] == {**META, "labels": {"c": "d"}, "annotations": {"e": "f"}}
    assert (found["host"], found["apiVersion"]) == ("h", "example.com/v2")


def changed(**metadata: Any) -> Obj:
    return {**ANSWERED, "metadata": {**META, **metadata}}


def _of(obj: Any) -> Any:
    return lambda asked: answer(asked, obj)


WRONG: dict[str, tuple[Any, str]] = {
    "nothing": (
        lambda asked: None,
        f"conversion webhook for {GVK} failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, "
        "got /, Kind=",
    ),
    "another object": (
        lambda asked: {**answer(asked), "kind": "Pod", "apiVersion": "v1"},
        f"conversion webhook for {GVK} failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, "
        "got /v1, Kind=Pod",
    ),
    "no response": (
        lambda asked: {key: value for key, value in answer(asked).items() if key != "response"},
        f"conversion webhook for {GVK} failed: no response provided",
    ),
    "another question's": (
        lambda asked: answer(asked, uid="9"),
        f'conversion webhook for {GVK} failed: expected response.uid="1234", got "9"',
    ),
    "a refusal": (
        lambda asked: answer(asked, result={"status": "Failure", "message": "cannot"}),
        f"conversion webhook for {GVK} failed: cannot",
    ),
    "no result": (
        lambda asked: answer(asked, result={}),
        f"conversion webhook for {GVK} failed: response.result.status was '', not 'Success'",
    ),
    "too few": (lambda asked: answer(asked), f"conversion webhook for {GVK} returned 0 objects, expected 1"),
    "no object": (_of(5), "index 0: no object"),
    "another version": (_of(OBJECT), r"index 0: invalid groupVersion (expected example.com/v2, received example.com/v1)"),
    "another kind": (_of({**ANSWERED, "kind": "Bar"}), "index 0: invalid kind (expected Foo, received Bar)"),
    "no metadata": (_of({**ANSWERED, "metadata": 1}), "index 0: invalid metadata of type int in converted object"),
    "another name": (_of(changed(name="b")), "index 0: must have the same name: a != b"),
    "another namespace": (_of(changed(namespace="m")), "index 0: must have the same namespace: n != m"),
    "another uid": (_of(changed(uid="v")), "index 0: must have the same UID: u != v"),
    "wrong labels": (_of(changed(labels={"-": "b"})), "returned invalid metadata in object at index 0: metadata.labels: "),
    "labels of numbers": (_of(changed(labels={"a": 1})), "metadata.labels of the converted object is no map of texts"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_conversion_is_refused(wrong: str) -> None:
    make, text = WRONG[wrong]
    asked = ask()
    with pytest.raises(Refused) as told:
        converted(asked, make(asked))
    assert text in str(told.value)


def test_an_old_review_need_not_say_whose_answer_it_is() -> None:
    asked = ask(("v1beta1",))
    assert converted(asked, {"response": answer(asked, ANSWERED, uid="")["response"]})[0]["host"] == "h"


def test_who_cannot_be_asked_is_told_with_the_kind() -> None:
    assert str(failed([OBJECT], "no answer")) == f"conversion webhook for {GVK} failed: no answer"
