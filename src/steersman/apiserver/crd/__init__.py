"""CustomResourceDefinitions at work inside the API server: every server follows them, and serves what they define.

definitions.py follows the definitions (one watch), installs their kinds in the registry, and keeps their conditions; cleanup.py
deletes the instances of those that are being deleted. What a definition means is in api/customresources/, pure.
"""
