"""One file a device: a `Dialogue` without input, output or clock, its settings, and the manual's constants."""
