"""A desk of the port whose receipts witnesses cosign, and one witness beside it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from tests.integration.port_gateway.conftest import Port
from tests.integration.port_gateway.witnesses import Witness, WitnessDesk, witness
from tests.time_authority import Tsa


@pytest.fixture
def desk(port: Port) -> Iterator[WitnessDesk]:
    with contextlib.closing(port.store()) as store:
        yield WitnessDesk(port, cast("Tsa", None), store)


@pytest.fixture
def one(desk: WitnessDesk, tmp_path: Path) -> Iterator[Witness]:
    with witness(tmp_path / "w1", desk.port.gateway) as one:
        yield one
