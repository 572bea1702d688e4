"""`edge-agent camera`: for whoever aligns a camera."""
