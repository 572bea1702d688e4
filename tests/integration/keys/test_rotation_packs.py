"""Evidence packs on both sides of a rotation, made before and after it, at the booth and at the port."""

from pathlib import Path

import pytest

from edge_agent.domain.clock import SystemClock
from edge_agent.keys_command.rotate import rotate
from edge_agent.ledger.export import export
from edge_agent.wire.identity import SpiffeId, certificate_key, create_identity, key_id, load_certificate
from port_gateway.export import export_inspection
from tests.integration.keys.booth_at_port import BOOTH, Booth
from tests.integration.keys.test_rotation import opened as ledger_of
from tests.integration.ledger.conftest import closed, opened
from tests.integration.port_gateway.conftest import Port
from tests.unit.pack.port_of_entry import verify

pytestmark = pytest.mark.proof  # a dozen packs verified by the shell
BEFORE, AFTER = "3f8a5d2e-0c41-4a6e-9d57-1b2c3d4e5f60", "3f8a5d2e-0c41-4a6e-9d57-1b2c3d4e5f61"


class Site:
    """A booth that recorded one inspection with its old key, handed over, and recorded another with the new one."""

    def __init__(self, folder: Path) -> None:
        create_identity(folder, "booth", SpiffeId.parse(BOOTH), SystemClock().now().utc)
        self.booth = Booth(folder, Port(folder), "booth.key")
        self.old = self.key()

    def key(self, file: str = "booth.crt") -> str:
        return key_id(certificate_key(load_certificate(self.booth.folder / file)))

    async def inspect(self, inspection: str) -> None:
        async with ledger_of(self.booth) as ledger:
            await ledger.recorder.record(opened(inspection))
            await ledger.recorder.record(closed(inspection))

    async def hand_over(self) -> int:
        done = await rotate(self.booth.setup(), SystemClock(), "1.0")
        self.new = done.new
        return done.seq

    def pack(self, name: str, what: str | int) -> Path:
        out = self.booth.folder / name
        setup = self.booth.setup()
        export(setup.ledger, what, out, setup.identity(), SystemClock(), "0.1-test")
        return out


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    await site.inspect(BEFORE)
    return site


def keys_of(pack: Path) -> set[str]:
    return {key_id(certificate_key(load_certificate(file))) for file in (pack / "certificates").iterdir()}


def holds(pack: Path, *trusted: str) -> str:
    """What VERIFY.sh says, which must be that all is well."""
    status, said = verify(pack, *(option for key in trusted for option in ("-k", key)))
    assert status == 0, said
    return said


async def test_packs_of_both_sides_whenever_they_are_made(site: Site) -> None:
    earlier = site.pack("earlier", BEFORE)
    holds(earlier, site.old)
    handed = await site.hand_over()

    # The port does not know of it yet: the old certificate is in force, and the ledger is the new key's.
    between = site.pack("between", BEFORE)
    assert keys_of(between) == {site.old, site.new}
    holds(between, site.old, site.new)

    await site.inspect(AFTER)
    site.booth.setup().identity().promote()
    holds(earlier, site.old)
    # The old inspection's pack: its session by the old key; checkpoint's session and manifest by the new one.
    late = site.pack("late", BEFORE)
    assert keys_of(late) == {site.old, site.new}
    said = holds(late, site.old, site.new)
    assert f"in the chain of {handed + 3} events that the booth signed" in said
    for trusted in (site.old, site.new):
        status, said = verify(late, "-k", trusted)
        other = site.new if trusted == site.old else site.old
        assert (status, f"is signed by the key {other}, which is none of those given with -k" in said) == (1, True), (
            said
        )
    # Nothing of a later inspection rests on the old key.
    new = site.pack("new", AFTER)
    assert keys_of(new) == {site.new}
    holds(new, site.new)
    # The rotation itself, signed by the old key's last session.
    rotation = site.pack("rotation", handed)
    assert keys_of(rotation) == {site.old, site.new}
    holds(rotation, site.old, site.new)
    assert "The booth handed over to a new device key" in (rotation / "README.html").read_text()


async def test_packs_of_the_port_and_of_a_booth_with_its_receipts(site: Site) -> None:
    booth, port = site.booth, site.booth.port
    booth.trust()
    await site.hand_over()
    await site.inspect(AFTER)
    async with port.serving():
        await booth.run_until(lambda: booth.acked() >= 8 and site.key() == site.new)
    gateway = key_id(port.gateway.key.public_key())
    for inspection, keys in ((BEFORE, {site.old}), (AFTER, {site.new})):
        out = booth.folder / f"port-{inspection[-1]}"
        export_inspection(port.settings(), inspection, out, SystemClock(), "0.1-test")
        assert keys_of(out) == {*keys, gateway}
        holds(out, *keys, gateway)
        of_booth = site.pack(f"booth-{inspection[-1]}", inspection)
        assert "in the chain of" in holds(of_booth, *keys, site.new, gateway)
