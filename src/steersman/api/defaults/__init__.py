"""Defaults of the built-in kinds, set in place at decoding. One file per topic; no validation here."""
