"""Probes: liveness, readiness and startup checks of running containers."""
