"""From manifests to static pods."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from steersman.kubelet.pods import is_static
from steersman.kubelet.staticpods.manifests import FILE, HTTP, BadManifest, Origin, read
from steersman.machinery import yamlio
from steersman.machinery.meta import Obj

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HERE = Origin(FILE, "/etc/kubernetes/manifests/web.yaml", "node-1")


def manifest(meta: Obj | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", **(meta or {})},
        "spec": {"containers": [{"name": "app", "image": "busybox:1"}], **spec},
    }


def text(pod: Obj) -> bytes:
    return yamlio.dump(pod).encode()


def test_a_manifest_becomes_a_pod_of_this_node() -> None:
    (pod,) = read(text(manifest({"labels": {"app": "web"}})), HERE, NOW)
    meta = pod["metadata"]
    assert (meta["name"], meta["namespace"], meta["labels"]) == ("web-node-1", "default", {"app": "web"})
    assert len(meta["uid"]) == 32 and meta["annotations"] == {
        "kubernetes.io/config.hash": meta["uid"],
        "kubernetes.io/config.seen": "2026-01-02T00:00:00.000000Z",
        "kubernetes.io/config.source": "file",
    }
    assert pod["spec"]["nodeName"] == "node-1"
    assert pod["spec"]["tolerations"] == [{"operator": "Exists", "effect": "NoExecute"}]
    assert pod["spec"]["restartPolicy"] == "Always" and pod["spec"]["terminationGracePeriodSeconds"] == 30
    assert pod["status"] == {"phase": "Pending"} and is_static(pod)


def test_the_uid_is_the_same_for_the_same_words_and_another_for_others_or_elsewhere() -> None:
    def uid(pod: Obj, origin: Origin = HERE) -> str:
        (made,) = read(text(pod), origin, NOW)
        return str(made["metadata"]["uid"])

    assert uid(manifest()) == read(orjson.dumps(manifest()), HERE, NOW.replace(year=2027))[0]["metadata"]["uid"]
    changed = manifest(containers=[{"name": "app", "image": "busybox:2"}])
    elsewhere = Origin(FILE, "/other.yaml", "node-1")
    assert len({uid(manifest()), uid(changed), uid(manifest(), elsewhere), uid(manifest({"uid": "own"}))}) == 4
    assert uid(manifest({"uid": "own"})) == "own"


def test_a_url_may_hold_a_list_and_its_pods_tolerate_nothing_of_themselves() -> None:
    listed = {"apiVersion": "v1", "kind": "PodList", "items": [manifest({"name": "a"}), manifest({"name": "b"})]}
    found = read(text(listed), Origin(HTTP, "http://somewhere/", "n"), NOW)
    assert [pod["metadata"]["name"] for pod in found] == ["a-n", "b-n"]
    assert not any(pod["spec"].get("tolerations") for pod in found)
    assert {pod["metadata"]["annotations"]["kubernetes.io/config.source"] for pod in found} == {"http"}


def volume(**source: Any) -> Obj:
    return manifest(volumes=[{"name": "v", **source}])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"{]", "yaml: ", id="no YAML"),
        pytest.param(b"just words", "expected a Pod", id="no object"),
        pytest.param(b"metadata: {name: web}", "Object 'Kind' or 'apiVersion' is missing", id="no kind"),
        pytest.param(text({**manifest(), "kind": "Service"}), "Service", id="another kind"),
        pytest.param(text(manifest(containers=[])), "invalid pod: [spec.containers: Required value", id="no containers"),
        pytest.param(text(manifest({"name": "No Name"})), 'metadata.name: Invalid value: "No Name-node-1"', id="bad name"),
        pytest.param(text(manifest(hostNetwork="yes please")), "spec.hostNetwork", id="a type error"),
        pytest.param(text(manifest(serviceAccountName="a")), "static pods may not reference serviceaccounts", id="account"),
        pytest.param(text(volume(secret={"secretName": "s"})), "static pods may not reference secrets", id="secret"),
        pytest.param(text(volume(configMap={"name": "s"})), "static pods may not reference configmaps", id="config map"),
        pytest.param(
            text(volume(persistentVolumeClaim={"claimName": "c"})),
            "static pods may not reference persistentvolumeclaims",
            id="claim",
        ),
        pytest.param(
            text(manifest(containers=[{"name": "a", "image": "b", "envFrom": [{"configMapRef": {"name": "c"}}]}])),
            "static pods may not reference configmaps",
            id="environment",
        ),
        pytest.param(
            text({"apiVersion": "v1", "kind": "PodList", "items": [manifest()]}), "PodList", id="a list in a file"
        ),
    ],
)  # fmt: skip
def test_a_bad_manifest_says_why(content: bytes, words: str) -> None:
    with pytest.raises(BadManifest) as caught:
        read(content, HERE, NOW)
    assert words in str(caught.value)


def test_who_claims_to_be_static_in_the_api_is_not() -> None:
    (pod,) = read(text(manifest()), HERE, NOW)
    pod["metadata"]["resourceVersion"] = "7"
    assert not is_static(pod)
