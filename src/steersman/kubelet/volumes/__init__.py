"""Volumes: one module per type, behind base.VolumePlugin; manager.py chooses."""
