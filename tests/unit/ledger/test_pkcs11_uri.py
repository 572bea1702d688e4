import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.domain.errors import IdentityInvalid
from edge_agent.ledger.pkcs11_uri import EXAMPLE, parse_key_uri

FOLDER = Path("/etc/booth")
QUERY = "?module-path=/lib/p11.so&pin-source=file:pin"


def test_the_example_and_every_attribute() -> None:
    assert parse_key_uri(EXAMPLE.removeprefix("pkcs11:"), FOLDER).pin_file == Path("/etc/booth/pin")
    uri = parse_key_uri(f"token=my%20token;serial=0a;object=d%3Bk;id=%01%ff;type=private{QUERY}", FOLDER)
    assert (uri.token, uri.serial, uri.object, uri.id) == ("my token", "0a", "d;k", b"\x01\xff")
    assert (uri.module, uri.pin_file) == (Path("/lib/p11.so"), Path("/etc/booth/pin"))
    assert uri.which == "'d;k' id 01ff"


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (f"object=k{QUERY}", "neither token nor serial"),
        (f"token=t{QUERY}", "neither object nor id"),
        ("token=t;object=k?pin-source=file:pin", "no module-path"),
        ("token=t;object=k?module-path=/m", "no pin-source"),
        (f"token=t;token=u;object=k{QUERY}", "token twice"),
        (f"token=t;object=k;type=public{QUERY}", "no private key"),
        (f"token=t;object=k;slot-id=1{QUERY}", "not known here"),
        (f"token=t;object{QUERY}", "not known here"),
        (f"token=t;object=k{QUERY}&pin-value=secret99", "carries the PIN itself"),
        ("token=t;object=k?module-path=/m&pin-source=|secret99", "a program as pin-source"),
        (f"token=t;secret99=k{QUERY}", "not known here"),
    ],
)
def test_what_is_wrong_is_said_without_a_value(rest: str, said: str) -> None:
    with pytest.raises(IdentityInvalid) as error:
        parse_key_uri(rest, FOLDER)
    assert said in str(error.value)
    assert "secret99" not in str(error.value)


@given(st.text())
def test_any_text_is_read_or_refused(rest: str) -> None:
    with contextlib.suppress(IdentityInvalid):
        parse_key_uri(rest, FOLDER)
