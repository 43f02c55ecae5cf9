"""Flags are read as pflag reads them, and refused in its words."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.cli.kubectl.errors import FlagError
from steersman.cli.kubectl.flags import Flag, FlagSet, HelpWanted

SET = FlagSet(
    "kubectl get",
    (
        Flag("namespace", short="n"),
        Flag("watch", "bool", short="w"),
        Flag("stdin", "bool", short="i"),
        Flag("tty", "bool", short="t"),
        Flag("chunk-size", "int", default=500),
        Flag("filename", "strings", short="f"),
        Flag("env", "array"),
        Flag("timeout", "duration"),
        Flag("dry-run", default="none", bare="unchanged"),
    ),
)


@pytest.mark.parametrize(
    ("line", "name", "value", "args"),
    [
        ("-n x pods", "namespace", "x", ["pods"]),
        ("pods -nx", "namespace", "x", ["pods"]),
        ("-n=x", "namespace", "x", []),
        ("--namespace x a b", "namespace", "x", ["a", "b"]),
        ("--namespace=x=y", "namespace", "x=y", []),
        ("--namespace=", "namespace", "", []),
        ("-w", "watch", True, []),
        ("-w=false", "watch", False, []),
        ("--watch pods", "watch", True, ["pods"]),
        ("-it sh", "tty", True, ["sh"]),
        ("-itn x", "namespace", "x", []),
        ("--chunk-size 0x10", "chunk-size", 16, []),
        ("-f a,b -f c", "filename", ["a", "b", "c"], []),
        ('-f "a,b",c', "filename", ["a,b", "c"], []),
        ("--env a,b --env c", "env", ["a,b", "c"], []),
        ("--timeout 1m30s", "timeout", 90.0, []),
        ("--dry-run x", "dry-run", "unchanged", ["x"]),
        ("--dry-run=client", "dry-run", "client", []),
        ("a -- -n b", "namespace", "", ["a", "-n", "b"]),
        ("-", "namespace", "", ["-"]),
    ],
)
def test_a_line_is_read(line: str, name: str, value: Any, args: list[str]) -> None:
    flags, left = SET.parse(line.split(" "))
    found: Any = flags._values[name]
    assert (found, left) == (value, args)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--foo", "unknown flag: --foo"),
        ("-Z", "unknown shorthand flag: 'Z' in -Z"),
        ("-wZ", "unknown shorthand flag: 'Z' in -wZ"),
        ("-n", "flag needs an argument: 'n' in -n"),
        ("--namespace", "flag needs an argument: --namespace"),
        ("--chunk-size x", 'invalid argument "x" for "--chunk-size" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        ("--watch=maybe", 'invalid argument "maybe" for "-w, --watch" flag: strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("--timeout x", 'invalid argument "x" for "--timeout" flag: time: invalid duration "x"'),
        ("---x", "bad flag syntax: ---x"),
    ],
)
def test_a_wrong_flag_is_told_as_upstream_does(line: str, message: str) -> None:
    with pytest.raises(FlagError) as caught:
        SET.parse(line.split(" "))
    assert caught.value.text() == f"Error: {message}\nSee 'kubectl get --help' for usage."


@pytest.mark.parametrize("line", ["-h", "--help", "pods -wh"])
def test_help_is_noticed_anywhere(line: str) -> None:
    with pytest.raises(HelpWanted):
        SET.parse(line.split(" "))


def test_where_the_dashes_stood_is_known() -> None:
    assert SET.parse(["a", "--", "b"])[0].dash == 1
    assert SET.parse(["a", "b"])[0].dash == -1
