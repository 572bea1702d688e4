import pytest

from edge_agent.console.passwords import Hashed, PasswordInvalid
from edge_agent.console.sessions import ALL_TRIES, MAX_SESSIONS, TRIES, TRY_S, Attempts, SessionFault, Sessions


def test_a_session_counts_until_it_is_over() -> None:
    sessions = Sessions(100.0)
    token = sessions.begin(0.0, "line")
    assert sessions.check(token, 99.9, "line") is None
    assert sessions.check(token, 100.0, "line") is SessionFault.EXPIRED
    assert sessions.check(token, 1.0, "line") is SessionFault.EXPIRED  # and stays so
    assert sessions.check(None, 1.0, "line") is SessionFault.NONE
    assert sessions.check(token[:-1], 1.0, "line") is SessionFault.UNKNOWN
    assert sessions.check("\ud800", 1.0, "line") is SessionFault.UNKNOWN


def test_the_oldest_of_too_many_sessions_ends() -> None:
    sessions = Sessions(100.0)
    tokens = [sessions.begin(0.0, "line") for _ in range(MAX_SESSIONS + 1)]
    assert sessions.check(tokens[0], 1.0, "line") is SessionFault.UNKNOWN
    assert sessions.check(tokens[1], 1.0, "line") is None


def test_tries_are_counted_by_address_and_in_all() -> None:
    attempts = Attempts()
    for _ in range(TRIES):
        assert attempts.wait("192.0.2.1", 0.0) == 0
        attempts.tried("192.0.2.1", 0.0)
    assert attempts.wait("192.0.2.1", 0.0) == pytest.approx(TRY_S)
    assert attempts.wait("192.0.2.2", 0.0) == 0
    assert attempts.wait("192.0.2.1", TRY_S) == 0
    for number in range(ALL_TRIES):
        attempts.tried(f"198.51.100.{number}", 0.0)
    assert attempts.wait("203.0.113.9", 0.0) > 0


def test_addresses_of_one_network_count_as_one() -> None:
    attempts = Attempts()
    for number in range(TRIES):
        attempts.tried(f"2001:db8::{number:x}", 0.0)
    assert attempts.wait("2001:db8::ffff", 0.0) > 0
    assert attempts.wait("2001:db8:0:1::1", 0.0) == 0


@pytest.mark.parametrize(
    "line",
    ["", "scrypt$15$8$1$$", "scrypt$31$8$1$AAAAAAAAAAAAAAAAAAAAAA==$" + "A" * 43 + "=", "plain", "\xff", "x" * 9999],
)
def test_a_file_that_is_no_hash_is_refused(line: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "password"
    path.write_bytes(line.encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(PasswordInvalid, match="no password's hash"):
        Hashed.read(path)


def test_a_letter_in_two_characters_is_the_same_letter() -> None:
    assert Hashed.of("contraseñas a la orilla").is_of("contrasen\u0303as a la orilla")
