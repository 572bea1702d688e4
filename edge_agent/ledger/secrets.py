"""Passphrases and PINs, from files that only this user can read, such as systemd's `LoadCredential=` lays down."""

import os
from pathlib import Path

from edge_agent.domain.errors import IdentityInvalid

MAX_SECRET_BYTES = 1024
_GROUP_READS = 0o040


def read_secret(path: Path, what: str) -> bytes:
    """The file's content without the end of its line. `what` it is stands in messages. Raises IdentityInvalid."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            data = file.read(MAX_SECRET_BYTES + 1)
    except ValueError:
        raise IdentityInvalid(f"{what}: a NUL character stands in the path", "write the path without it") from None
    except OSError as error:
        raise IdentityInvalid(
            f"{path}: {what} cannot be read: {error.strerror}", "check the path, and systemd's LoadCredential="
        ) from None
    # systemd gives a service its credentials by an access list, which shows as the group's right to read.
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    allowed = 0o600 | (_GROUP_READS if given and path.resolve().is_relative_to(Path(given).resolve()) else 0)
    if mode & ~allowed:
        raise IdentityInvalid(f"{path}: others may read {what} (mode {mode:04o})", f"chmod 400 {path}")
    secret = data.rstrip(b"\r\n")
    if not secret or len(data) > MAX_SECRET_BYTES or b"\n" in secret:
        raise IdentityInvalid(f"{path}: {what} is one line of at most {MAX_SECRET_BYTES} bytes", "correct the file")
    return secret
