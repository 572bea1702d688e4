"""The page's password: kept as its scrypt hash (RFC 7914), in a file that only the agent's user can read.

The file is one line: scrypt$<log2 N>$<r>$<p>$<salt, base64>$<hash, base64>
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edge_agent.domain.counted import counted
from edge_agent.domain.errors import Permanent

# N = 2^15, r = 8: 32 MiB and about 0.1 s a try on a booth's computer. What a file may ask for is bounded.
LOG_N, R, P = 15, 8, 1
MAX_LOG_N, MAX_R, MAX_P = 17, 8, 4
SALT_BYTES, HASH_BYTES = 16, 32
LEAST, MOST = 10, 200
MAX_FILE_BYTES = 512


class PasswordInvalid(Permanent):
    """A password that cannot be set, or a file that holds none."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """A password's hash with what it was made with."""

    log_n: int
    r: int
    p: int
    salt: bytes
    hash: bytes

    @classmethod
    def of(cls, password: str) -> Self:
        """With a fresh salt. Raises PasswordInvalid for one that is too short or too long."""
        if not LEAST <= len(password) <= MOST:
            raise PasswordInvalid(
                f"the password has {counted(len(password), 'character')}",
                f"take {LEAST} to {MOST}: several words are easy to keep",
            )
        salt = secrets.token_bytes(SALT_BYTES)
        return cls(LOG_N, R, P, salt, _scrypt(password, salt, LOG_N, R, P))

    @classmethod
    def read(cls, path: Path) -> Self:
        """From its file. Raises PasswordInvalid: absent, readable by others, or no such line."""
        try:
            with path.open("rb") as file:
                mode, data = os.fstat(file.fileno()).st_mode & 0o777, file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise PasswordInvalid(
                f"{path}: the page's password cannot be read: {error.strerror}",
                "set one: edge-agent console set-password booth.yaml",
            ) from None
        if mode & 0o077:
            raise PasswordInvalid(f"{path}: others may read it (mode {mode:04o})", f"chmod 600 {path}")
        try:
            kind, log_n, r, p, salt, hashed = data.decode("ascii").strip().split("$")
            one = cls(
                int(log_n),
                int(r),
                int(p),
                base64.b64decode(salt, validate=True),
                base64.b64decode(hashed, validate=True),
            )
        except (ValueError, binascii.Error):
            kind, one = "", None
        if kind != "scrypt" or one is None or not one.is_bounded:
            raise PasswordInvalid(
                f"{path}: this is no password's hash", "set it anew: edge-agent console set-password booth.yaml"
            )
        return one

    def write(self, path: Path) -> None:
        """Into its file, mode 0600, whole or not at all. Raises PasswordInvalid."""
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(self.line().encode())
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise PasswordInvalid(f"{path}: cannot be written: {error.strerror}", "check the folder") from None

    def line(self) -> str:
        salt, hashed = (base64.b64encode(part).decode() for part in (self.salt, self.hash))
        return f"scrypt${self.log_n}${self.r}${self.p}${salt}${hashed}\n"

    def is_of(self, password: str) -> bool:
        """Whether this is the password. Takes about 0.1 s of a processor: not in an event loop."""
        if len(password) > MOST:
            return False
        return hmac.compare_digest(self.hash, _scrypt(password, self.salt, self.log_n, self.r, self.p))

    @property
    def is_bounded(self) -> bool:
        """Nobody can have this process work or allocate for long through the file."""
        return (
            0 < self.log_n <= MAX_LOG_N
            and 0 < self.r <= MAX_R
            and 0 < self.p <= MAX_P
            and len(self.salt) == SALT_BYTES
            and len(self.hash) == HASH_BYTES
        )


def _scrypt(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    # Keyboards write é in one character or in two; both are the same password.
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    memory = 128 * r * (2**log_n + p + 2) + 1024 * 1024
    return hashlib.scrypt(text, salt=salt, n=2**log_n, r=r, p=p, maxmem=memory, dklen=HASH_BYTES)
