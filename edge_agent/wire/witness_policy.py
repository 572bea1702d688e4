"""Which witnesses count, and how many of them must have cosigned: a C2SP tlog-policy. No input or output.

    witness north witness.example/w1+f0ab4c8e+BD1…   https://witness.example/w1
    witness south border.example/w+11aa0df2+BJ9…     https://border.example/w
    group both all north south
    quorum both

The keys of logs come from elsewhere (the gateway's certificate): a `log` line is refused rather than ignored.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from edge_agent.domain.errors import IdentityInvalid, Permanent
from edge_agent.wire.cosignature import COSIGNATURE, VerifierKey

MAX_POLICY_BYTES = 64 * 1024
MAX_WITNESSES = 16  # a note with the signatures of all stays below its limit
MAX_GROUPS = 32
NONE = "none"


class PolicyInvalid(Permanent):
    """A policy file that cannot be used; `wrong` names the line."""

    def __init__(self, line: int, wrong: str) -> None:
        super().__init__(
            f"line {line}: {wrong}", "write it as https://c2sp.org/tlog-policy says; docs/operate.md has one"
        )


@dataclass(frozen=True, slots=True)
class Witness:
    """`url`: where it is asked, '' where the policy names none."""

    name: str
    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """Witnesses by name; `groups`: how many of which members make each; `quorum`: one of all these, or NONE."""

    witnesses: Mapping[str, Witness]
    groups: Mapping[str, tuple[int, tuple[str, ...]]]
    quorum: str

    def keys(self) -> list[VerifierKey]:
        """Of all witnesses."""
        return [witness.key for witness in self.witnesses.values()]

    def satisfied(self, by: Iterable[VerifierKey]) -> bool:
        """Whether these cosigners are enough."""
        given = set(by)
        held = {name: witness.key in given for name, witness in self.witnesses.items()} | {NONE: True}
        for name, (needed, members) in self.groups.items():  # in the file's order: members come first
            held[name] = sum(held[member] for member in members) >= needed
        return held[self.quorum]

    def text(self, also: Iterable[VerifierKey] = ()) -> str:
        """As a file without addresses. `also`: witnesses that are named, and count for nothing."""
        named = {name: witness.key for name, witness in self.witnesses.items()}
        for key in also:
            if key not in named.values():
                free = (f"former-{number}" for number in range(1, 1000))
                named[next(name for name in free if name not in named and name not in self.groups)] = key
        lines = [f"witness {name} {key}" for name, key in named.items()]
        lines += [f"group {name} {needed} {' '.join(members)}" for name, (needed, members) in self.groups.items()]
        return "".join(f"{line}\n" for line in [*lines, f"quorum {self.quorum}"])


NO_POLICY = Policy({}, {}, NONE)


def read_policy(data: bytes) -> Policy:
    """Raises PolicyInvalid."""
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyInvalid(1, f"a file of {len(data)} bytes, at most {MAX_POLICY_BYTES}")
    reader = _Reader()
    number = 0
    for number, words in _lines(data):
        try:
            reader.line(words)
        except (ValueError, IdentityInvalid) as error:
            raise PolicyInvalid(number, error.wrong if isinstance(error, IdentityInvalid) else str(error)) from None
    if reader.quorum is None:
        raise PolicyInvalid(number + 1, "no quorum line")
    return Policy(reader.witnesses, reader.groups, reader.quorum)


def _lines(data: bytes) -> Iterator[tuple[int, list[str]]]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise PolicyInvalid(1, "not UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        if any((ord(c) < 32 and c != "\t") or ord(c) == 127 for c in line):
            raise PolicyInvalid(number, "a control character")
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if words and not words[0].startswith("#"):
            yield number, words


class _Reader:
    def __init__(self) -> None:
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, tuple[int, tuple[str, ...]]] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()

    def line(self, words: list[str]) -> None:
        """Raises ValueError, IdentityInvalid."""
        match words:
            case ["witness", name, key, *url] if len(url) < 2:
                self._witness(name, VerifierKey.parse(key), *url)
            case ["group", name, count, *members] if members:
                self._group(name, count, members)
            case ["quorum", name]:
                if self.quorum is not None:
                    raise ValueError("a second quorum line")
                if name != NONE and name not in self.witnesses and name not in self.groups:
                    raise ValueError(f"the quorum {name[:100]} is not defined before it")
                self.quorum = name
            case ["log", *_]:
                raise ValueError(
                    "a log line: here the log is the port, whose key is given elsewhere; take the line out"
                )
            case _:
                raise ValueError("no line of a policy: witness NAME KEY [URL], group NAME N NAME…, or quorum NAME")

    def _witness(self, name: str, key: VerifierKey, url: str = "") -> None:
        self._new(name)
        if key.kind != COSIGNATURE:
            raise ValueError(f"the key of {name[:100]} is of type 0x{key.kind:02x}; a witness has one of type 0x04")
        known = self.witnesses.values()
        if any(key.raw == one.key.raw or (key.name, key.id) == (one.key.name, one.key.id) for one in known):
            raise ValueError(f"the key of {name[:100]} stands there twice")
        if len(self.witnesses) == MAX_WITNESSES:
            raise ValueError(f"more than {MAX_WITNESSES} witnesses")
        self.witnesses[name] = Witness(name, key, url)

    def _group(self, name: str, count: str, members: list[str]) -> None:
        self._new(name)
        for member in members:
            if member not in self.witnesses and member not in self.groups:
                raise ValueError(f"{member[:100]} is not defined before it")
            if member in self._members or members.count(member) > 1:
                raise ValueError(f"{member[:100]} is a member twice: it could count twice")
        if len(self.groups) == MAX_GROUPS:
            raise ValueError(f"more than {MAX_GROUPS} groups")
        needed = {"any": 1, "all": len(members)}.get(count) or _number(count)
        if not 1 <= needed <= len(members):
            raise ValueError(f"{count[:20]} of {len(members)} members")
        self._members.update(members)
        self.groups[name] = (needed, tuple(members))

    def _new(self, name: str) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise ValueError(f"the name {name[:100]} is taken")


def _number(text: str) -> int:
    return int(text) if len(text) < 4 and text.isascii() and text.isdigit() else 0
