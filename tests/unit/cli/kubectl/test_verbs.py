"""Verbs against an API server in process: what is printed, said, and then there. Each text is one that kubectl 1.32 gave."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.fakes.kubectl import Told, kubectl
from tests.fakes.server import World, world

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: c1}
data: {a: "1", b: "2"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: front}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: nginx, env: [{name: A, value: "1"}, {name: B, value: "2"}]}
      - {name: d, image: busybox}
"""

Script = list[tuple[str, str, int]]
"""Command line, what it must print (stdout, then stderr), exit code."""


def _play(folder: Path, script: Script, stdin: str = "") -> None:
    async def scenario() -> None:
        async with world() as server:
            await server.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
            for line, expected, code in script:
                told = await _run(server, folder, line, stdin)
                assert (told.out + told.err, told.code) == (expected, code), line

    asyncio.run(scenario())


async def _run(server: World, folder: Path, line: str, stdin: str) -> Told:
    (folder / "m.yaml").write_text(MANIFEST)
    words = [word.replace("␣", " ") for word in line.replace("FILE", str(folder / "m.yaml")).split()]
    return await kubectl(server.transport, folder, *words, stdin=stdin)


SCRIPTS: dict[str, Script] = {
    "create, get and delete": [
        ("create -f FILE", "configmap/c1 created\ndeployment.apps/web created\n", 0),
        ("get cm,deploy -o name", "configmap/c1\ndeployment.apps/web\n", 0),
        ("get cm c1 nope -o name", 'configmap/c1\nError from server (NotFound): configmaps "nope" not found\n', 1),
        ("get cm nope --ignore-not-found", "", 0),
        ("get cm c1 --no-headers -L x --show-kind", "configmap/c1   2     0s    \n", 0),
        ("get pods", "No resources found in default namespace.\n", 0),
        ("get pods -A", "No resources found\n", 0),
        ("get cm c1 -o jsonpath={.data.a}", "1", 0),
        ("delete cm c1 --dry-run=client", 'configmap "c1" deleted (dry run)\n', 0),
        ("delete cm c1 --dry-run=server -o name", "configmap/c1\n", 0),
        ("delete cm c1", 'configmap "c1" deleted\n', 0),
        ("delete cm c1", 'Error from server (NotFound): configmaps "c1" not found\n', 1),
        ("delete cm c1 --ignore-not-found", "", 0),
        ("delete cm --all", "No resources found\n", 0),
    ],
    "mistakes": [
        ("get foo", 'error: the server doesn\'t have a resource type "foo"\n', 1),
        ("get pods a -l x=y", "error: name cannot be provided when a selector is specified\n", 1),
        ("get pods -A a", "error: a resource cannot be retrieved by name across all namespaces\n", 1),
        ("get a/b/c", "error: arguments in resource/name form may not have more than one slash\n", 1),
        ("get pods,svc -w", "error: you may only specify a single resource type\n", 1),
        ("delete pods", "error: resource(s) were provided, but no name was specified\n", 1),
        ("delete cm a --now --grace-period 3", "error: --now and --grace-period cannot be specified together\n", 1),
        ("create", "error: must specify one of -f and -k\n", 1),
        ("create foo", "error: Unexpected args: [foo]\nSee 'kubectl create -h' for help and examples\n", 1),
        ("apply -f /nope", 'error: the path "/nope" does not exist\n', 1),
        ("label a=b", "error: one or more resources must be specified as <resource> <name> or <resource>/<name>\n", 1),
        ("get pods --foo", "Error: unknown flag: --foo\nSee 'kubectl get --help' for usage.\n", 1),
        (
            "get pods -l a=b=c",
            'Error from server (BadRequest): Unable to find "/v1, Resource=pods" that match label selector "a=b=c", '
            "field selector \"\": found '=', expected: ',' or 'end of string'\n",
            1,
        ),
    ],
    "labels and annotations": [
        ("create cm c1", "configmap/c1 created\n", 0),
        ("label cm c1 a=b", "configmap/c1 labeled\n", 0),
        ("label cm c1 a=b", "configmap/c1 not labeled\n", 0),
        ("label cm c1 a=c", "error: 'a' already has a value (b), and --overwrite is false\n", 1),
        ("label cm c1 a=c --overwrite", "configmap/c1 labeled\n", 0),
        ("label cm c1 --list", "a=c\n", 0),
        ("label cm c1 a-", "configmap/c1 unlabeled\n", 0),
        ("label cm c1 a-", 'label "a" not found.\nconfigmap/c1 labeled\n', 0),
        ("annotate cm c1 a=b", "configmap/c1 annotated\n", 0),
        (
            "annotate cm c1 a=c",
            "error: --overwrite is false but found the following declared annotation(s): 'a' already has a value (b)\n",
            1,
        ),
        ("annotate cm c1 --list", "a=b\n", 0),
    ],
    "patch, scale and set": [
        ("create -f FILE", "configmap/c1 created\ndeployment.apps/web created\n", 0),
        ('patch cm c1 -p {"data":{"b":"3"}}', "configmap/c1 patched\n", 0),
        ('patch cm c1 -p {"data":{"b":"3"}}', "configmap/c1 patched (no change)\n", 0),
        ("patch cm c1 --type=foo -p {}", 'error: --type must be one of [json merge strategic], not "foo"\n', 1),
        ("scale deploy web --replicas=3", "deployment.apps/web scaled\n", 0),
        ("scale deploy web --replicas=1 --current-replicas=2", "error: Expected replicas to be 2, was 3\n", 1),
        ("set image deploy/web c=nginx:2", "deployment.apps/web image updated\n", 0),
        ("set image deploy/web c=nginx:2", "", 0),
        ("set image deploy/web x=nginx:2", 'error: unable to find container named "x"\n', 1),
        ("set env deploy/web A- C=3 -c c", "deployment.apps/web env updated\n", 0),
        ("set env deploy/web --list -c c", "# Deployment web, container c\nB=2\nC=3\n", 0),
        ("expose deploy web --port=80", "service/web exposed\n", 0),
        ("get svc web -o jsonpath={.spec.selector}", '{"app":"web"}', 0),
    ],
    "run and generators": [
        ("run p1 --image=nginx", "pod/p1 created\n", 0),
        ("run p1 --image=nginx --rm", "error: --rm should only be used for attached containers\n"
         "See 'kubectl run -h' for help and examples\n", 1),
        ("create ns n1", "namespace/n1 created\n", 0),
        ("create deployment d --image=a --image=b -- x", "error: cannot specify multiple --image options and command\n", 1),
        ("create configmap c1 --from-literal=a=1 --append-hash -o name", "configmap/c1-6m8ckb26g9\n", 0),
        ("create role r --verb=get --resource=pods,deploy/scale -o jsonpath={.rules[*].resources} --dry-run=client",
         '["pods"] ["deployments/scale"]', 0),
        ("create ingress i --rule=foo", "error: rule foo is invalid and should be in format "
         "host/path=svcname:svcport[,tls[=secret]]\n", 1),
        ("create quota q --hard=cpu", "error: Invalid argument syntax cpu, expected <resource>=<value>\n", 1),
        ("create pdb p --selector=a=b", "error: one of min-available or max-unavailable must be specified\n", 1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_verbs_say_what_upstream_says(tmp_path: Path, script: Script) -> None:
    _play(tmp_path, script)


def test_apply_adds_changes_and_takes_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world() as server:
            await server.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})

            async def apply(text: str, *flags: str) -> Told:
                return await kubectl(server.transport, tmp_path, "apply", "-f", "-", *flags, stdin=text)

            assert (await apply(MANIFEST)).out == "configmap/c1 created\ndeployment.apps/web created\n"
            assert (await apply(MANIFEST)).out == "configmap/c1 unchanged\ndeployment.apps/web unchanged\n"
            # What somebody else set, and the manifest never named, stays.
            await kubectl(server.transport, tmp_path, "annotate", "deploy", "web", "by=other")
            smaller = MANIFEST.replace(', {name: B, value: "2"}', "").replace(", labels: {tier: front}", "")
            smaller = smaller.replace("      - {name: d, image: busybox}\n", "").replace('b: "2"', 'b: "3"')
            assert (await apply(smaller, "--dry-run=server")).out == (
                "configmap/c1 configured (server dry run)\ndeployment.apps/web configured (server dry run)\n"
            )
            assert (await apply(smaller)).out == "configmap/c1 configured\ndeployment.apps/web configured\n"
            live = await server.obj("GET", "/apis/apps/v1/namespaces/default/deployments/web")
            (container,) = live["spec"]["template"]["spec"]["containers"]
            assert container["env"] == [{"name": "A", "value": "1"}]
            assert "labels" not in live["metadata"]
            assert live["metadata"]["annotations"]["by"] == "other"

    asyncio.run(scenario())


def test_apply_warns_of_what_it_did_not_make(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world() as server:
            await server.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
            await kubectl(server.transport, tmp_path, "create", "cm", "c1")
            text = MANIFEST.partition("---")[0]
            told = await kubectl(server.transport, tmp_path, "apply", "-f", "-", stdin=text)
            assert told.out == "configmap/c1 configured\n"
            assert told.err.startswith("Warning: resource configmaps/c1 is missing the kubectl.kubernetes.io/last-applied")

    asyncio.run(scenario())


def test_delete_waits_for_finalizers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world() as server:
            await server.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
            made = {"metadata": {"name": "held", "finalizers": ["a.b/c"]}}
            await server.obj("POST", "/api/v1/namespaces/default/configmaps", made)
            waiting = asyncio.TaskGroup()
            async with waiting as group:
                task = group.create_task(kubectl(server.transport, tmp_path, "delete", "cm", "held"))
                target = "/api/v1/namespaces/default/configmaps/held"
                while not (await server.obj("GET", target))["metadata"].get("deletionTimestamp"):
                    pass
                assert not task.done()
                patch = [{"op": "remove", "path": "/metadata/finalizers"}]
                await server.raw("PATCH", target, patch, content_type="application/json-patch+json")
            assert task.result() == (0, 'configmap "held" deleted\n', "")

    asyncio.run(scenario())


def test_a_wait_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world() as server:
            await server.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
            made = {"metadata": {"name": "held", "finalizers": ["a.b/c"]}}
            await server.obj("POST", "/api/v1/namespaces/default/configmaps", made)
            told = await kubectl(server.transport, tmp_path, "delete", "cm", "held", "--timeout=20ms")
            assert told == (1, 'configmap "held" deleted\n', "error: timed out waiting for the condition on configmaps/held\n")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("editor", "out", "err", "code"),
    [
        ("true", "", "Edit cancelled, no changes made.\n", 0),
        ("truncate -s 0", "", "Edit cancelled, saved file was empty.\n", 0),
        ("sed -i s/old/new/", "configmap/c1 edited\n", "", 0),
        ("false", "", 'error: there was a problem with the editor "false"\n', 1),
        ("no-such-editor", "", 'error: unable to launch the editor "no-such-editor"\n', 1),
    ],
)
def test_edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, editor: str, out: str, err: str, code: int) -> None:
    monkeypatch.setenv("KUBE_EDITOR", editor)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    async def scenario() -> None:
        async with world() as server:
            await server.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
            await kubectl(server.transport, tmp_path, "create", "cm", "c1", "--from-literal=a=old")
            assert await kubectl(server.transport, tmp_path, "edit", "cm", "c1") == (code, out, err)

    asyncio.run(scenario())


def test_a_new_kind_is_found_although_discovery_is_kept(tmp_path: Path) -> None:
    """The kept answer of an older server must not hide what a newer one serves."""

    async def scenario() -> None:
        from steersman.api.groups import BUILTIN

        fewer = [spec for spec in BUILTIN if spec.resource.plural != "configmaps"]
        async with world(specs=fewer) as server:
            told = await kubectl(server.transport, tmp_path, "get", "cm", "-A")
            assert told.err == 'error: the server doesn\'t have a resource type "cm"\n'
        async with world() as server:
            told = await kubectl(server.transport, tmp_path, "get", "cm", "-A")
            assert told == (0, "", "No resources found\n")

    asyncio.run(scenario())
