"""The example that `steersman example` deploys: a manifest, and an image made from this machine's own busybox."""
