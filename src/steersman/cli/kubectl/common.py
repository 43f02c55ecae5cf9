"""Flags that verbs share."""

from __future__ import annotations

from steersman.cli.kubectl.flags import Flag

ALL_NAMESPACES = Flag(
    "all-namespaces",
    "bool",
    "If present, list the requested object(s) across all namespaces. Namespace in current context is ignored even if specified "
    "with --namespace.",
    short="A",
)
SELECTOR = Flag(
    "selector",
    help="Selector (label query) to filter on, supports '=', '==', '!=', 'in', 'notin'.(e.g. -l key1=value1,key2=value2,key3 in "
    "(value3)). Matching objects must satisfy all of the specified label constraints.",
    short="l",
)
FIELD_SELECTOR = Flag(
    "field-selector",
    help="Selector (field query) to filter on, supports '=', '==', and '!='.(e.g. --field-selector key1=value1,key2=value2). The "
    "server only supports a limited number of field queries per type.",
)
FILENAME = Flag("filename", "strings", "Filename, directory, or URL to files identifying the resource.", short="f")
KUSTOMIZE = Flag(
    "kustomize", help="Process the kustomization directory. This flag can't be used together with -f or -R.", short="k"
)
RECURSIVE = Flag(
    "recursive",
    "bool",
    "Process the directory used in -f, --filename recursively. Useful when you want to manage related manifests organized within "
    "the same directory.",
    short="R",
)
FILES = (FILENAME, KUSTOMIZE, RECURSIVE)
OUTPUT = Flag(
    "output",
    help="Output format. One of: (json, yaml, name, go-template, go-template-file, template, templatefile, jsonpath, "
    "jsonpath-as-json, jsonpath-file).",
    short="o",
)
PRINTING = (
    OUTPUT,
    Flag(
        "allow-missing-template-keys",
        "bool",
        "If true, ignore any errors in templates when a field or map key is missing in the template. Only applies to golang and "
        "jsonpath output formats.",
        default=True,
    ),
    Flag("show-managed-fields", "bool", "If true, keep the managedFields when printing objects in JSON or YAML format."),
    Flag(
        "template",
        help="Template string or path to template file to use when -o=go-template, -o=go-template-file. The template format is "
        "golang templates [http://golang.org/pkg/text/template/#pkg-overview].",
    ),
)
DRY_RUN = Flag(
    "dry-run",
    help='Must be "none", "server", or "client". If client strategy, only print the object that would be sent, without sending '
    "it. If server strategy, submit server-side request without persisting the resource.",
    default="none",
    bare="unchanged",
)
VALIDATE = Flag(
    "validate",
    help='Must be one of: strict (or true), warn, ignore (or false). "true" or "strict" will use a schema to validate the input '
    "and fail the request if invalid.",
    default="strict",
    bare="strict",
)


def field_manager(name: str) -> Flag:
    """--field-manager with a verb's own default."""
    return Flag("field-manager", help="Name of the manager used to track field ownership.", default=name)


def all_of(what: str) -> Flag:
    return Flag("all", "bool", f"Select all resources, in the namespace of the specified resource types, {what}.")


LOCAL = Flag("local", "bool", "If true, the command will NOT contact api-server but run locally.")
RESOURCE_VERSION = Flag("resource-version", help="If non-empty, the update will only succeed if this is the current version.")


def subresource(help_text: str) -> Flag:
    return Flag("subresource", help=help_text)
