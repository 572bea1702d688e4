"""Simulated devices: one file each, written from the device's manual and never from the agent's driver."""
