"""steersman: Kubernetes, written in Python. docs/architecture.md is the map."""

__version__ = "0.1.0"

KUBERNETES_VERSION = "v1.36.2"
"""The upstream release whose wire behaviour this package implements."""
