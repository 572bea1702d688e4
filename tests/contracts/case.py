"""What a driver gives the contract suite, and the noise that every driver has to bear."""

from dataclasses import dataclass

from hypothesis import strategies as st
from pydantic import BaseModel

from edge_agent.devices.catalogue import CATALOGUE


@dataclass(frozen=True)
class Case:
    """One way to set a driver up. `messages` are whole, with their end; `good` is one that reads as something.

    `limit` is the most bytes held with these settings, where the catalogue's row states that of the largest settings.
    """

    driver: str
    settings: BaseModel
    messages: st.SearchStrategy[bytes]
    good: bytes
    end: bytes
    limit: int | None = None

    @property
    def holds(self) -> int:
        return self.limit or CATALOGUE[self.driver].buffer_limit

    def __str__(self) -> str:
        return (
            f"{self.driver}({', '.join(f'{k}={v!r}' for k, v in self.settings.model_dump(exclude_unset=True).items())})"
        )


def noise(limit: int) -> st.SearchStrategy[bytes]:
    """Arbitrary bytes: short ones, and runs whose length lies around what the driver may hold."""
    around = st.builds(
        lambda byte, length: byte * length,
        st.sampled_from([b"A", b"0", b"\x00", b"\xff", b"]", b",", b"\r"]),
        st.integers(limit - 3, limit + 3) | st.integers(2 * limit - 2, 2 * limit + 2),
    )
    return st.binary(max_size=40) | around | st.builds(bytes.__add__, around, st.binary(max_size=4))
