"""A hardware token as slow as the test wants, around a real key."""

import threading

from edge_agent.ledger.signer import DeviceKey


class Token:
    """The booth's real key, which signs when the test lets it. `spoilt`: it signs something else."""

    def __init__(self, key: DeviceKey) -> None:
        self._key, self.public_key, self.key_id = key, key.public_key, key.key_id
        self.open = threading.Event()
        self.open.set()
        self.asked = self.answered = 0
        self.fails: Exception | None = None
        self.spoilt = False

    def sign(self, message: bytes) -> bytes:
        self.asked += 1
        assert self.open.wait(30)
        self.answered += 1
        if self.fails is not None:
            raise self.fails
        return self._key.sign(message + b"x" if self.spoilt else message)

    def pem(self) -> bytes | None:
        return None
