"""Subresources with behaviour of their own, over the same guaranteed update as the main verbs."""
