"""Events and evidence go to the port, which acknowledges what it holds durably."""
