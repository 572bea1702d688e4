"""A key that does not fit on the disk leaves nothing that would be in the way of a whole one."""

from pathlib import Path

import pytest

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.wire.identity import SpiffeId, create_identity
from tests.small_disk import mounted
from tests.unit.port_gateway.signing import NOW

LANE = SpiffeId.parse("spiffe://uslrd/booth/lane-1")


def test_it_is_made_when_there_is_room(tmp_path: Path) -> None:
    with mounted(tmp_path, "tmpfs", 1) as disk:
        (disk.path / "keys").mkdir()
        disk.fill()
        with pytest.raises(IdentityInvalid, match="key: cannot be written: No space left on device"):
            create_identity(disk.path / "keys", "booth", LANE, NOW)
        assert list((disk.path / "keys").iterdir()) == []
        disk.make_room()
        key, _ = create_identity(disk.path / "keys", "booth", LANE, NOW)
        assert b"PRIVATE KEY" in key.read_bytes()
