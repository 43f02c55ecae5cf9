"""The composition root: makes certificates and settings, starts and ends the parts, and chooses implementations."""
