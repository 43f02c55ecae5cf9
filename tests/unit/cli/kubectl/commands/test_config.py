"""`kubectl config` on files of its own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.unit.cli.kubectl.commands.line import Ran, ran

from steersman.cli.kubectl.commands.config.store import Store
from steersman.machinery import yamlio

START = """
apiVersion: v1
kind: Config
clusters:
- {name: far, cluster: {server: "https://192.0.2.4:6443", certificate-authority-data: YWJj}}
- {name: away, cluster: {server: "https://h:1", certificate-authority: ca.crt}}
users:
- {name: ann, user: {client-certificate-data: YWJj, client-key-data: YWJj}}
- {name: bob, user: {token: secret}}
contexts:
- {name: one, context: {cluster: far, user: ann, namespace: shop}}
- {name: two, context: {cluster: away, user: bob}}
current-context: one
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config"
    path.write_text(START)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return path


def run(config: Path, line: str) -> Ran:
    return asyncio.run(ran(f"config {line}", kubeconfig=config))


TOLD = {
    "current-context": (0, "one\n", ""),
    "get-contexts": (
        0,
        "CURRENT   NAME   CLUSTER   AUTHINFO   NAMESPACE\n*         one    far       ann        shop\n"
        "          two    away      bob        \n",
        "",
    ),
    "get-contexts -o name": (0, "one\ntwo\n", ""),
    "get-contexts nope two --no-headers": (1, "      two   away   bob   \n", "error: context nope not found\n"),
    "get-clusters": (0, "NAME\naway\nfar\n", ""),
    "get-users": (0, "NAME\nann\nbob\n", ""),
    "use-context two": (0, 'Switched to context "two".\n', ""),
    "use-context nope": (1, "", 'error: no context exists with the name: "nope"\n'),
    "set-context new --cluster=far --user=bob": (0, 'Context "new" created.\n', ""),
    "set-context --current --namespace=x": (0, 'Context "one" modified.\n', ""),
    "set-context": (1, "", "error: you must specify a non-empty context name or --current\n"),
    "set-cluster far --server=https://x": (0, 'Cluster "far" set.\n', ""),
    "set-cluster x --certificate-authority=a --insecure-skip-tls-verify": (
        1,
        "",
        "error: you cannot specify a certificate authority and insecure mode at the same time\n",
    ),
    "set-credentials ann --token=t --username=a": (
        1,
        "",
        "error: you cannot specify more than one authentication method at the same time: --token, --username/--password\n",
    ),
    "rename-context one first": (0, 'Context "one" renamed to "first".\n', ""),
    "unset users.nope.token": (1, "", "error: current map key `nope` is invalid\n"),
    "set foo.bar x": (1, "", "error: unable to parse foo.bar after [] at api.Config\n"),
    "set clusters.far.insecure-skip-tls-verify maybe": (1, "", 'error: strconv.ParseBool: parsing "maybe": invalid syntax\n'),
    "view --minify --context nope": (1, "", "error: cannot locate context nope\n"),
    "view -o jsonpath={.users[*].user.token}": (0, "REDACTED", ""),
    "view --raw -o jsonpath={.users[*].user.token}": (0, "secret", ""),
}  # fmt: skip


@pytest.mark.parametrize("line", TOLD)
def test_a_subcommand_says_what_it_did(config: Path, line: str) -> None:
    assert run(config, line) == TOLD[line]


def test_a_deleted_entry_is_gone_and_the_current_context_warned_of(config: Path) -> None:
    assert run(config, "delete-cluster away").out == f"deleted cluster away from {config}\n"
    assert run(config, "delete-user nope").err == f"error: cannot delete user nope, not in {config}\n"
    gone = run(config, "delete-context one")
    assert gone.err.startswith("warning: this removed your active context")
    found = yamlio.load(config.read_text())
    assert [entry["name"] for entry in found["clusters"]] == ["far"]
    assert [entry["name"] for entry in found["contexts"]] == ["two"]


def test_a_view_hides_what_is_secret_and_minify_keeps_what_is_used(config: Path) -> None:
    found = yamlio.load(run(config, "view --minify").out)
    assert [entry["name"] for entry in found["users"]] == ["ann"]
    assert found["users"][0]["user"] == {"client-certificate-data": "DATA+OMITTED", "client-key-data": "DATA+OMITTED"}
    ordered = json.loads(run(config, "view -o json").out)
    assert list(ordered) == ["kind", "apiVersion", "preferences", "clusters", "users", "contexts", "current-context"]


def test_flattening_embeds_files_beside_the_configuration(config: Path) -> None:
    assert run(config, "view --flatten").err == f"error: open {config.parent}/ca.crt: no such file or directory\n"
    (config.parent / "ca.crt").write_text("pem")
    found = yamlio.load(run(config, "view --flatten --raw").out)
    assert found["clusters"][0]["cluster"]["certificate-authority-data"] == "cGVt"


def test_values_are_set_and_unset_by_their_path(config: Path) -> None:
    lines = (
        "set contexts.one.namespace y",
        "set users.ann.client-key-data abc --set-raw-bytes=true",
        "set clusters.far.insecure-skip-tls-verify true",
        "set current-context two",
        "unset contexts.one.user",
    )
    for line in lines:
        assert run(config, line).code == 0
    found = Store([config]).merged()
    assert found.entries["contexts"]["one"] == {"cluster": "far", "user": "", "namespace": "y"}
    assert found.entries["users"]["ann"]["client-key-data"] == "YWJj"
    assert found.entries["clusters"]["far"]["insecure-skip-tls-verify"] is True
    assert found.current == "two"


def test_a_plugin_is_written_with_its_arguments_and_environment(config: Path) -> None:
    run(
        config,
        "set-credentials cy --exec-command=c --exec-api-version=v1 --exec-arg=a --exec-arg=b --exec-env=K=V --exec-env=L=W",
    )
    run(config, "set-credentials cy --exec-env=K-")
    assert Store([config]).merged().entries["users"]["cy"]["exec"] == {
        "command": "c", "args": ["a", "b"], "apiVersion": "v1", "env": [{"name": "L", "value": "W"}], "provideClusterInfo": False,
    }  # fmt: skip


def test_a_change_is_written_to_the_file_that_its_entry_came_from(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("contexts: [{name: a, context: {cluster: x, user: y}}]\n")
    second.write_text("contexts: [{name: b, context: {cluster: x, user: y}}]\ncurrent-context: b\n")
    store = Store([first, second])
    store.put("contexts", "b", {"cluster": "z", "user": "y"})
    store.put("contexts", "c", {"cluster": "z", "user": "y"})
    store.set_current("a")
    assert "z" in second.read_text()
    assert "name: c" in first.read_text()
    assert "current-context: a" in second.read_text()
