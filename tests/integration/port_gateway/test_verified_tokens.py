"""`port-gateway verify` looks at every time token: that it is one, and over the chain that is held."""

from typing import Any

import apsw
import pytest

from port_gateway.audit import audit
from port_gateway.audit_tokens import Fault
from port_gateway.cli import main
from tests.integration.port_gateway.desk import Desk


@pytest.fixture
def stamped(desk: Desk) -> Desk:
    """Two tokens: over four events, and over seven."""
    desk.tokens().turn()
    desk.receive()
    desk.tokens().turn()
    return desk


def change(desk: Desk, statement: str, *values: Any) -> None:
    def write(db: apsw.Connection) -> None:
        db.execute(statement, values)

    desk.store.submit(write).result()


def row(desk: Desk, size: int) -> list[bytes]:
    with desk.store.reading() as db:
        found = db.execute("SELECT note, response FROM time_token WHERE size = ?", (size,)).fetchone()
    assert found is not None
    return [bytes(value) for value in found]


def test_tokens_that_are_in_order_are_counted(stamped: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(stamped.port.settings())[0].time_tokens == 2
    assert main(["verify", str(stamped.port.write_config())]) == 0
    assert "2 time tokens" in capsys.readouterr().out


def test_a_token_of_another_receipt(stamped: Desk) -> None:
    change(stamped, "UPDATE time_token SET response = ? WHERE size = 7", row(stamped, 4)[1])
    with pytest.raises(Fault, match=r"TIME_TOKEN_INVALID: the time token of .* over 7 events: .*does not verify"):
        audit(stamped.port.settings())


def test_a_receipt_of_other_events(stamped: Desk) -> None:
    note, response = row(stamped, 4)
    change(stamped, "UPDATE time_token SET note = ?, response = ? WHERE size = 7", note, response)
    with pytest.raises(Fault, match="over 7 events: its receipt is over another chain"):
        audit(stamped.port.settings())


def test_a_receipt_that_no_gateway_signed(stamped: Desk) -> None:
    change(stamped, "UPDATE time_token SET certificate = ? WHERE size = 4", stamped.port.booth.certificate_der)
    with pytest.raises(Fault, match="over 4 events: signed by what is no gateway"):
        audit(stamped.port.settings())
    change(stamped, "UPDATE time_token SET certificate = ? WHERE size = 4", b"no certificate")
    with pytest.raises(Fault, match="over 4 events: "):
        audit(stamped.port.settings())


def test_a_token_over_more_than_is_held(stamped: Desk) -> None:
    change(stamped, "UPDATE time_token SET size = 8 WHERE size = 7")
    with pytest.raises(Fault, match="over 8 events: the chain has no such event"):
        audit(stamped.port.settings())
