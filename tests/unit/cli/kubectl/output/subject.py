"""The object that the tests of output formats print; what upstream prints for it was looked up with its own kubectl."""

from __future__ import annotations

import io

from steersman.cli.kubectl.errors import KubectlError, describe
from steersman.cli.kubectl.output import GET_FORMATS, PrintOptions, printer
from steersman.machinery.meta import Obj

POD: Obj = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web",
        "namespace": "default",
        "labels": {"app": "web", "a.b/c-d": "x"},
        "annotations": {"html": "<a href='x'>&</a>", "multi": "a\nb\n"},
        "managedFields": [{"manager": "somebody"}],
    },
    "spec": {
        "hostNetwork": False,
        "terminationGracePeriodSeconds": 30,
        "containers": [
            {
                "name": "a",
                "image": "img:1",
                "ports": [{"containerPort": 80}, {"containerPort": 443, "name": "tls"}],
                "resources": {"limits": {"cpu": "100m"}},
            },
            {"name": "b", "image": "img:2", "env": [{"name": "E", "value": ""}]},
        ],
    },
}


def printed(spec: str, obj: Obj = POD, *, options: PrintOptions | None = None) -> str:
    """What `-o spec` prints, or the error that it ends with."""
    out = io.StringIO()
    try:
        printer(spec, options, allowed=GET_FORMATS).print(obj, out)
    except KubectlError as error:
        return describe(error)
    return out.getvalue()
