"""The booth's own page: what the lane does now, the last vehicles, devices and ledger (docs/console.md).

in the agent's process    live.py ─► feed.py ══ socket in the ledger's folder ══╗
in a process of its own   listen.py ◄═══════════════════════════════════════════╝
                          tail.py ◄── the ledger, read only     ──► board.py ─► page.py ─► server.py ══ browsers
"""
