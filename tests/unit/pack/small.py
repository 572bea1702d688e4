"""A small pack, and what is done to it."""

from pathlib import Path

from edge_agent.pack.collect import collect_event
from edge_agent.pack.write import write_pack
from tests.unit.pack.port_of_entry import BOOTH, FRAME, GATEWAY, Chain, Place, verify
from tests.unit.port_gateway.signing import Ledger, Party, device_event

ENVELOPE, PROOF, RECEIPT = (f"events/0000000003.{end}" for end in ("envelope", "tlog-proof", "port.tlog-proof"))


class Small(Place):
    """A chain of nine events, and a pack of one of them, so that a whole verification takes a moment."""

    def __post_init__(self) -> None:
        self.booth = Party(self.folder / "booth", BOOTH)
        self.gateway = Party(self.folder / "gateway", GATEWAY, ("localhost",))
        self.of(Ledger(BOOTH, self.booth.key))

    def of(self, ledger: Ledger) -> None:
        ledger.grow(1)
        ledger.add(device_event(), evidence=(FRAME.ref,))
        ledger.grow(6)
        self.ledger = ledger
        self.chain = Chain(ledger, self.folder / "kept", self.gateway, checkpoint_size=9, receipt_size=7)

    def pack(self, name: str = "pack", event: int = 3, exporter: Party | None = None) -> Path:
        out = self.folder / name
        write_pack(collect_event(self.chain, event, [self.booth.certificate]), self.exporter(exporter), out)
        return out


def files(pack: Path) -> list[str]:
    return sorted(path.relative_to(pack).as_posix() for path in pack.rglob("*") if path.is_file())


def flip(path: Path, place: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)


def refused(pack: Path, *options: str, script: Path | None = None) -> str:
    """The sentence with which it ends."""
    status, said = verify(pack, *options, script=script)
    last = said.splitlines()[-1]
    assert (status, last[:8]) == (1, "FAILED: "), said
    assert "VERIFIED" not in said
    return last.removeprefix("FAILED: ")


def changed(place: Small, pack: Path, name: str, where: int, bit: int = 0) -> str:
    data = (pack / name).read_bytes()
    flip(pack / name, where, bit)
    place.sign_again(pack)
    said = refused(pack)
    (pack / name).write_bytes(data)
    return said
