"""Pods that come from files or a URL of the node's own and need no API server: reading them, and their mirrors in the API."""
