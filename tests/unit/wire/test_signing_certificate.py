"""What is no time token by its form is refused in words, whatever its bytes."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.wire.signing_certificate import names_signer
from edge_agent.wire.time_token import TimeQuery, TimeToken, TimeTokenInvalid
from tests.time_authority import Tsa


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        names_signer(data, b"")


def test_a_token_with_any_byte_changed_is_refused_or_says_the_same(tmp_path: Path) -> None:
    tsa, note = Tsa(tmp_path / "tsa"), b"a note\n"
    query = TimeQuery(note)
    answer = tsa.granted(query.data)
    said = query.taken(TimeToken(answer, tsa.root))
    for at in range(0, len(answer), 7):
        changed = bytearray(answer)
        changed[at] ^= 0x41
        with contextlib.suppress(TimeTokenInvalid):
            assert query.taken(TimeToken(bytes(changed), tsa.root)) == said
