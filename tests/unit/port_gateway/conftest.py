import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.domain.clock import SystemClock
from port_gateway.inbox import Inbox
from port_gateway.store import Store
from tests.unit.port_gateway.signing import Party


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(Store(tmp_path / "inbox.sqlite")) as store:
        yield store


@pytest.fixture
def inbox(store: Store) -> Inbox:
    return Inbox(store, SystemClock())


@pytest.fixture
def booth(tmp_path: Path) -> Party:
    return Party(tmp_path / "booth", "spiffe://uslrd/booth/lane-1")
