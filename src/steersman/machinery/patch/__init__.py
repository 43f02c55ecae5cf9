"""The three patch formats of PATCH requests and of client-side apply: JSON patch, merge patch, strategic merge patch.

All functions are pure: inputs are never changed, and results may share unchanged parts with them. Errors are StatusErrors with
upstream's codes and texts. Not here: server-side apply (managed fields).
"""
