"""The software of one inspection booth: devices and vision, inspection, ledger, uplink."""
