"""Texts of `kubectl explain`, where upstream's are not installed."""

from __future__ import annotations

import pytest

from steersman.api.schema.loader import schema
from steersman.apiserver.openapi import descriptions

META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@pytest.fixture
def none_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptions, "_all", dict)


@pytest.mark.usefixtures("none_installed")
def test_the_metadata_of_every_object_is_explained_all_the_same() -> None:
    told = descriptions.texts(META)
    assert told.whole
    assert set(told.fields) == set(schema().definition(META).fields)


@pytest.mark.usefixtures("none_installed")
def test_nothing_is_said_of_anything_else() -> None:
    assert descriptions.texts("io.k8s.api.core.v1.Pod") == ("", {})
