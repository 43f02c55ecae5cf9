"""The scheduler: which node a pod runs on. framework.py says what a plugin is, run.py puts it together."""
