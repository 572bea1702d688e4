"""Evidence packs: one inspection as files that a stranger can verify with openssl and POSIX utilities."""
