"""`edge-agent console`: serves the booth's page beside the agent, and sets its password."""
