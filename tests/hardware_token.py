"""A real PKCS#11 token in software (SoftHSM2), in a folder of the test's own."""

import os
import subprocess
from pathlib import Path

import pytest

from edge_agent.ledger.pkcs11_key import look_again

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
MODULE = next((path for path in MODULES if Path(path).exists()), None)
PIN = "483 921"
needs_softhsm = pytest.mark.skipif(MODULE is None, reason="SoftHSM2 is not installed (make system-packages)")


class HardwareToken:
    """A token `booth` with the PIN in `pin_file`. `uri` names a key in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "softhsm"
        self.tokens = self.folder / "tokens"
        self.tokens.mkdir(parents=True)
        config = self.folder / "softhsm2.conf"
        config.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        monkeypatch.setenv("SOFTHSM2_CONF", str(config))
        self.pin_file = self.folder / "pin"
        self.write_pin(PIN)
        self.make("booth")
        self.look_again()

    def look_again(self) -> None:
        """The library finds new tokens, and its configuration, only when it begins. It forgets logins."""
        import pkcs11

        look_again(pkcs11.lib(str(MODULE)))

    def make(self, label: str) -> None:
        self.tool("--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "11111111")

    def tool(self, *arguments: str) -> None:
        subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True, env=dict(os.environ))

    def write_pin(self, pin: str) -> None:
        self.pin_file.unlink(missing_ok=True)
        self.pin_file.write_text(f"{pin}\n")
        self.pin_file.chmod(0o400)

    def uri(self, key: str = "device", of: str = "booth") -> str:
        return f"pkcs11:token={of};object={key}?module-path={MODULE}&pin-source=file:{self.pin_file}"

    def pull_out(self) -> None:
        """As a token that leaves its socket: what is open there answers no more."""
        self.tokens.rename(self.folder / "drawer")
        self.tokens.mkdir()

    def put_back(self) -> None:
        self.tokens.rmdir()
        (self.folder / "drawer").rename(self.tokens)
