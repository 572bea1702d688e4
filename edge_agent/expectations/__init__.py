"""What the port expects, as this booth holds it: a copy, apart from the ledger, that the port can always send again."""
