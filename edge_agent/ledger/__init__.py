"""Events are sealed, signed and kept: one booth's append-only chain on disk, with one writer."""
