"""Upstream's kubectl applying on the server's side: conflicts, force, taking over from client-side apply, and what get shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.kubectl.conftest import Kubectl

from steersman.machinery import yamlio
from steersman.machinery.meta import Obj

Manifest = Callable[..., str]
CONFLICT = """\
error: Apply failed with 2 conflicts: conflicts with "kubectl" with subresource "scale" using apps/v1:
- .spec.replicas
conflicts with "kubectl-set" using apps/v1:
- .spec.template.spec.containers[name="c"].image
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
"""


@pytest.fixture
def manifest(tmp_path: Path, kubectl: Kubectl) -> Iterator[Manifest]:
    """Writes a Deployment to a file, and gives its name."""

    def write(*, more: Obj | None = None, **spec: Any) -> str:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i", "ports": [PORT]}]}}
        obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, **(more or {})}
        obj["spec"] = {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec}
        (tmp_path / "web.yaml").write_text(yamlio.dump(obj))
        return str(tmp_path / "web.yaml")

    yield write
    kubectl("delete", "deployment", "web", "--ignore-not-found")


PORT = {"containerPort": 80}
APPLIED = "deployment.apps/web serverside-applied\n"
FIELDS = """\
    fieldsV1:
      f:spec:
        f:replicas: {}
        f:selector: {}
        f:template:
          f:metadata:
            f:labels:
              f:a: {}
          f:spec:
            f:containers:
              k:{"name":"c"}:
                .: {}
                f:image: {}
                f:name: {}
                f:ports:
                  k:{"containerPort":80,"protocol":"TCP"}:
                    .: {}
                    f:containerPort: {}
    manager: kubectl
    operation: Apply
"""


def test_what_is_applied_is_shown_with_its_manager_and_applied_again_is_unchanged(kubectl: Kubectl, manifest: Manifest) -> None:
    assert kubectl("apply", "--server-side", "-f", manifest(replicas=2)) == APPLIED
    shown = kubectl("get", "deployment", "web", "-o", "yaml", "--show-managed-fields")
    assert FIELDS in shown
    assert "managedFields" not in kubectl("get", "deployment", "web", "-o", "yaml")
    assert kubectl("apply", "--server-side", "-f", manifest(replicas=2)) == APPLIED
    assert kubectl("get", "deployment", "web", "-o", "yaml", "--show-managed-fields") == shown
    assert kubectl("diff", "--server-side", "-f", manifest(replicas=2)) == ""


def test_conflicts_are_told_and_forced(kubectl: Kubectl, manifest: Manifest) -> None:
    kubectl("apply", "--server-side", "-f", manifest(replicas=2))
    kubectl("scale", "deployment", "web", "--replicas=5")
    kubectl("set", "image", "deployment/web", "c=other")
    assert kubectl("apply", "--server-side", "-f", manifest(replicas=2), code=1) == CONFLICT
    dry = kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", manifest(replicas=2))
    assert dry == "deployment.apps/web serverside-applied (server dry run)\n"
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "5"
    assert kubectl("apply", "--server-side", "--force-conflicts", "-f", manifest(replicas=2)) == APPLIED
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "2"
    # What is not applied any more goes back to its default.
    assert kubectl("apply", "--server-side", "-f", manifest()) == APPLIED
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "1"


def test_from_client_side_apply_and_back(kubectl: Kubectl, manifest: Manifest) -> None:
    assert kubectl("apply", "-f", manifest(replicas=2)) == "deployment.apps/web created\n"
    assert "  replicas: 2\n" in kubectl("apply", "view-last-applied", "deployment/web")
    assert kubectl("apply", "--server-side", "-f", manifest(replicas=3)) == APPLIED
    shown = kubectl("get", "deployment", "web", "-o", "yaml", "--show-managed-fields")
    assert re.findall(r"    manager: (.*)\n    operation: (.*)\n", shown) == [
        ("kubectl-last-applied", "Apply"),
        ("kubectl", "Apply"),
    ]
    assert FIELDS in shown
    # The annotation is kept true, so that client-side apply can go on.
    assert "  replicas: 3\n" in kubectl("apply", "view-last-applied", "deployment/web")
    assert kubectl("apply", "-f", manifest(replicas=3)) == "deployment.apps/web configured\n"  # in kubectl's own spelling
    assert kubectl("apply", "-f", manifest(replicas=3)) == "deployment.apps/web unchanged\n"
    assert kubectl("apply", "-f", manifest(minReadySeconds=1)) == "deployment.apps/web configured\n"
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "1"


def test_unknown_fields_are_refused(kubectl: Kubectl, manifest: Manifest) -> None:
    bad = manifest(more={"foo": 1})
    text = "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .foo: field not declared in schema"
    assert kubectl("apply", "--server-side", "-f", bad, code=1) == f"Error from server: {text}\n"
