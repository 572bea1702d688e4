"""`edge-agent ledger status` and `salvage`."""
