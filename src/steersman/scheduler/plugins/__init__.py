"""The scheduler's plugins, one file each; profiles.py lists those that are on."""
