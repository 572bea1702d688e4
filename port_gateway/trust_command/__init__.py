"""`port-gateway keys`, `trust`, `ca` and `enroll`."""
