"""What docs/access.md shows can be used as it stands."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import yaml

from steersman.apiserver.admission.podsecurity.config import parse as parse_pod_security
from steersman.apiserver.authn.oidc import parse
from steersman.apiserver.authz import configuration
from steersman.cluster.commands.accessflags import configure
from steersman.machinery.meta import Obj

PAGE = (Path(__file__).parents[3] / "docs" / "access.md").read_text()


def shown(kind: str) -> Obj:
    blocks: list[Obj] = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    return next(block for block in blocks if block["kind"] == kind)


def test_its_files_can_be_used(tmp_path: Path) -> None:
    found = parse.of_document(shown("AuthenticationConfiguration"), ())
    assert found.issuers[0].issuer.url == "https://login.example.com"
    assert found.anonymous is not None and found.anonymous.allows("/livez") and not found.anonymous.allows("/api")
    document = shown("AuthorizationConfiguration")
    file = tmp_path / "guard.conf"
    file.write_text("")
    document["authorizers"][0]["webhook"]["connectionInfo"]["kubeConfigFile"] = str(file)
    assert [entry.name for entry in configuration.of_document(document)] == ["guard", "node", "rbac"]
    plugin = shown("AdmissionConfiguration")["plugins"][0]
    assert plugin["name"] == "PodSecurity" and parse_pod_security(plugin["configuration"]) is not None


def test_each_flag_that_decides_is_on_it() -> None:
    parser = argparse.ArgumentParser()
    configure(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")} - {"--help"}
    families = ("--oidc-", "--requestheader-", "--authentication-token-webhook-", "--authorization-webhook-")
    assert not [flag for flag in flags if flag not in PAGE and not flag.startswith(families)]
