"""The fast reader agrees with the YAML reader, or leaves the text to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.machinery import plainyaml, yamlio

PLAIN = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1J==
    server: https://10.0.0.1:6443
  name: one
contexts:
- context:
    cluster: one
    namespace: team
    user: one
  name: one
current-context: one
kind: Config
preferences: {}
users:
- name: one
  user:
    token: abc.def
    insecure: true
empty:
none: ""
list: []
"""


def test_a_kubeconfig_reads_as_yaml_does() -> None:
    assert plainyaml.load(PLAIN) == yamlio.load(PLAIN)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1", "a: 0x10", "a: 1.5", "a: yes", "a: No", "a: null", "a: ~", "a: 2001-01-01", "a: 'x'", 'a: "x"',
        "a: b c", "a: b # c", "# a\na: b", "a: |\n  b", "a: >\n  b", "a: &x b", "a: *x", "a: !!str b", "a: {b: c}",
        "a: [b]", "- a", "- - a: b", "a:b", "a: b: c", "\ta: b", "a: b\n---\na: c", "a: b\na: c", "a: b\n  c: d",
        "  a: b\nc: d", "a: b ", "", "a", "? a", "<<: b", "a: b:", "1a: b", "a: ü",
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_yaml(text: str) -> None:
    with pytest.raises(plainyaml.NotPlain):
        plainyaml.load(text)


_keys = st.from_regex(r"[A-Za-z][\w\-]{0,6}", fullmatch=True)
_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.text("abcXYZ019-./:+=_ #'", max_size=8), st.booleans(), st.none(), st.integers(0, 99)),
    lambda inner: st.one_of(st.dictionaries(_keys, inner, max_size=3), st.lists(inner, max_size=3)),
    max_leaves=12,
)


@given(st.dictionaries(_keys, _values, max_size=4))
def test_whatever_is_taken_is_read_right(value: dict[str, Any]) -> None:
    text = yamlio.dump(value)
    try:
        found = plainyaml.load(text)
    except plainyaml.NotPlain:
        return
    assert found == yamlio.load(text)
