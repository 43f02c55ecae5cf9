"""The front door: requests in, Status or objects out, every kind on one path; the only part that touches the store."""
