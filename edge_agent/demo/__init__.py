"""`edge-agent demo`: simulator, agent and port gateway on one machine, and what a person wants to see of them."""
