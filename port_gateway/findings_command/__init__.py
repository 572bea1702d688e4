"""Commands about what is found at the port: the watch list, and officers' decisions."""
