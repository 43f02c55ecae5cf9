"""Who may pull what: credentials of pull secrets (keyring.py), and of the node's credential provider plugins (plugins.py)."""
