"""CSI volumes: drivers that register here, what they are asked, and what they mounted (Container Storage Interface v1)."""
