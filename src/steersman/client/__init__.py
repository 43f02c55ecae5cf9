"""Talking to an API server: transports, verbs, informers, leases, events, kubeconfig. Every component goes through it."""
