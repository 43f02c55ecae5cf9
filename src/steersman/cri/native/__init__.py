"""steersman's own container runtime: images, overlay snapshots, sandboxes and containers over crun (or runc) and conmon.

`runtime.NativeRuntime` and `images.NativeImages` implement ../interface.py; `build` makes images without a registry. Chosen in
cluster/.
"""
