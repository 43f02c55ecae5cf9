"""Requests that the API server passes on: to kubelets (log, exec, attach, port-forward), pods, services and nodes (proxy)."""
