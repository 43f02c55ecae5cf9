"""The kinds: schemas, defaults, validation, strategies, printer columns. Pure; nothing here knows of servers or stores."""
