"""Every error of the line, in one tree. A message says what is wrong; `remedy` says what to do.

EdgeAgentError
├── Recoverable        the same call may go through later: back off and try again
│   ├── LinkDown           a device's port or socket
│   ├── CameraDown         a camera's stream
│   ├── StoreFull          the disk under the ledger: nothing is accepted until there is room
│   └── PortUnreachable    the port gateway
├── Permanent          the same call will never go through: report it, go on with the rest
│   ├── SettingsInvalid    a settings or scenario file, every mistake at once
│   ├── DriverFailed       a driver raised: that device is failed, the others go on
│   ├── RecogniserBroken   could not look, which is not the same as nothing seen
│   │   └── NothingVisible      in this picture nothing could be seen, whatever the lane holds
│   ├── ImageUnreadable    a file that is no picture
│   ├── PictureNotWritten  a picture that was drawn cannot be kept
│   ├── ModelRefused       a model file of another hash, shape or alphabet
│   ├── IdentityInvalid    a key or certificate that cannot be used
│   ├── PortRefused        the port gateway says no, with a named code
│   ├── Refused            an envelope or chain that does not verify, with a named code (wire/verify.py)
│   └── ProofInvalid       a Merkle proof, checkpoint or receipt that does not verify, with a named fault
└── Fatal              going on could lose what was accepted: exit, let the supervisor restart
    ├── StoreFailed        the disk said no in a way that may hide a lost write
    └── StoreCorrupt       the ledger or the inbox does not hold what was written
"""

from enum import StrEnum


class EdgeAgentError(Exception):
    """Base of the tree: `str()` gives what is wrong, then what to do."""

    def __init__(self, wrong: str, remedy: str = "") -> None:
        super().__init__(f"{wrong}\n  → {remedy}" if remedy else wrong)
        self.wrong = wrong
        self.remedy = remedy


class Recoverable(EdgeAgentError):
    """The same call may go through later."""


class Permanent(EdgeAgentError):
    """The same call will never go through."""


class Fatal(EdgeAgentError):
    """Going on could lose what was accepted."""


class LinkDown(Recoverable):
    """A device's port or socket is closed, or says nothing."""


class CameraDown(Recoverable):
    """A camera's stream ended, froze or never began."""


class StoreFull(Recoverable):
    """The disk has no room: the event was not accepted, and the lane must be told."""


class PortUnreachable(Recoverable):
    """No connection to the port gateway."""


class SettingsInvalid(Permanent):
    """A settings file with mistakes, all of them in the message."""


class DriverFailed(Permanent):
    """A driver raised on input."""


class RecogniserBroken(Permanent):
    """The recogniser could not look at this frame."""


class NothingVisible(RecogniserBroken):
    """A picture in which nothing could be seen: black, burnt out, of one tone, or too small for any text."""


class ImageUnreadable(Permanent):
    """A file that is not a picture or a video that can be decoded."""


class PictureNotWritten(Permanent):
    """A picture that was drawn cannot be kept where it was asked for."""


class ModelRefused(Permanent):
    """A model file whose hash, shape or alphabet is not the one stated."""


class IdentityInvalid(Permanent):
    """A key or certificate that is missing, unreadable, or names nobody."""


class PortRefused(Permanent):
    """The port gateway refused this booth or an event of it."""


class ProofFault(StrEnum):
    """Why a note or a proof does not verify; docs/wire.md gives each its check."""

    NOTE_OVERSIZED = "NOTE_OVERSIZED"
    NOTE_MALFORMED = "NOTE_MALFORMED"
    NOTE_NOT_SIGNED = "NOTE_NOT_SIGNED"
    NOTE_BAD_SIGNATURE = "NOTE_BAD_SIGNATURE"
    WRONG_ORIGIN = "WRONG_ORIGIN"
    WRONG_KIND = "WRONG_KIND"
    PROOF_NO_LEAF = "PROOF_NO_LEAF"
    PROOF_LENGTH = "PROOF_LENGTH"
    PROOF_WRONG_ROOT = "PROOF_WRONG_ROOT"


class ProofInvalid(Permanent):
    """A Merkle proof, a checkpoint or a receipt that does not verify, with a named fault."""

    def __init__(self, fault: ProofFault, detail: str, remedy: str = "") -> None:
        super().__init__(f"{fault}: {detail}", remedy)
        self.fault = fault


class StoreFailed(Fatal):
    """A write may or may not have reached the disk."""


class StoreCorrupt(Fatal):
    """The store does not hold what was written to it."""
