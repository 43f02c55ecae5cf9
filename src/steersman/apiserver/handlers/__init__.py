"""The verbs of every kind, on one path: each module serves one verb and knows no kind by name."""
