"""Validation of the built-in kinds: pure functions from objects to field errors in upstream's words. One file per topic."""
