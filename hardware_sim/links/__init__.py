"""How a simulated device is reached: its bytes go out, and never hold up the world."""
