"""A desk with the inbox of a port of its own."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.integration.port_gateway.conftest import Port
from tests.integration.port_gateway.retention.desk import Clock, Desk


@pytest.fixture
def desk(port: Port) -> Iterator[Desk]:
    with contextlib.closing(port.store()) as store:
        yield Desk(port, store, port.ledger(), Clock())
