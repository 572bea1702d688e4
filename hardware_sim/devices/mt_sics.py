"""A Mettler Toledo terminal that speaks MT-SICS, levels 0 and 1.

METTLER TOLEDO Standard Interface Command Set, reference manual: commands and answers end with CR LF; a weight answer is
`<id> <status> <weight, ten characters, right-justified> <unit>`, status S stable, D dynamic; `<id> +` overload, `<id>
-` underload, `<id> I` not executable now. ES: not understood; EL: wrong parameter. `S` waits for a stable weight.
"""

import re
from typing import Annotated, Literal

from pydantic import Field

from hardware_sim.device import Site
from hardware_sim.devices.scale import CommandLines, Scale
from hardware_sim.world.weighing import Indication, ScaleSettings

_NUMBER = re.compile(r"\d{1,9}(\.\d{1,3})?")
_LOOK_AGAIN_S = 0.1
_REPEATS_PER_S = 10
_LEVEL_0 = ("@", "I0", "I1", "I2", "I3", "I4", "S", "SI", "SIR", "Z", "ZI")
_LEVEL_1 = ("SR", "T", "TA", "TAC", "TI")


class Settings(ScaleSettings):
    """Mettler Toledo MT-SICS."""

    kind: Literal["mt_sics"]
    serial_number: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,20}$")] = "B021002593"
    waits_s: Annotated[float, Field(ge=1, le=120)] = Field(
        default=10.0, description="how long S, Z and T wait for a stable weight before they answer I"
    )


class MtSics(Scale):
    """Answers; with SIR it also speaks by itself until it is told to stop."""

    kind = "mt_sics"

    def __init__(self, name: str, settings: Settings, site: Site) -> None:
        super().__init__(name, settings, site)
        self._settings = settings
        self._lines = CommandLines()
        self._waiting: tuple[str, float] | None = None  # a command that waits for a stable weight, and until when
        self._look = 0.0
        self._repeat_at: float | None = None

    def next_wake(self) -> float | None:
        moments = [m for m in (self._look if self._waiting else None, self._repeat_at) if m is not None]
        return min(moments, default=None)

    def woke(self, now: float) -> bytes:
        said = b""
        if self._waiting is not None and self._look <= now:
            said += self._settled(now)
        if self._repeat_at is not None and self._repeat_at <= now:
            self._repeat_at = now + 1 / _REPEATS_PER_S
            said += self._weight(self.platform.shown(now))
        return said

    def received(self, data: bytes, now: float) -> bytes:
        return b"".join(self._answer(line.decode("latin-1"), now) for line in self._lines.take(data))

    def _answer(self, line: str, now: float) -> bytes:
        command, _, parameter = line.partition(" ")
        if command == "TA" and parameter:
            return self._preset_tare(parameter)
        if parameter:
            return _line("EL") if command in _LEVEL_0 + _LEVEL_1 else _line("ES")
        match command:
            case "S" | "Z" | "T":
                self._repeat_at = None
                self._waiting, self._look = (command, now + self._settings.waits_s), now
                return self._settled(now)
            case "SI":
                self._repeat_at = None
                return self._weight(self.platform.shown(now))
            case "SIR":
                self._repeat_at = now + 1 / _REPEATS_PER_S
                return self._weight(self.platform.shown(now))
            case "ZI":
                shown = self.platform.shown(now)
                return _line(f"ZI {'S' if not shown.motion else 'D'}") if self.platform.zero(now) else _line("ZI I")
            case "TI":
                shown = self.platform.shown(now)
                done = self.platform.take_tare(now)
                return _line(f"TI S {self._value(self.platform.tare)}") if done else _line("TI I")
            case "TA":
                return _line(f"TA A {self._value(self.platform.tare)}")
            case "TAC":
                self.platform.tare = 0
                return _line("TAC A")
            case "@":
                self._repeat_at = self._waiting = None
                self.platform.tare = self._settings.tare
                return _line(f'I4 A "{self._settings.serial_number}"')
            case _:
                return self._about(command)

    def _about(self, command: str) -> bytes:
        match command:
            case "I0":
                listed = [(0, c) for c in _LEVEL_0] + [(1, c) for c in _LEVEL_1]
                last = len(listed) - 1
                return b"".join(_line(f'I0 {"A" if i == last else "B"} {n} "{c}"') for i, (n, c) in enumerate(listed))
            case "I1":
                return _line('I1 A "01" "2.30" "2.20" "" ""')
            case "I2":
                return _line(f'I2 A "IND Standard {self._settings.capacity} {self._settings.unit}"')
            case "I3":
                return _line('I3 A "1.20 30041234"')
            case "I4":
                return _line(f'I4 A "{self._settings.serial_number}"')
            case _:
                return _line("ES")

    def _settled(self, now: float) -> bytes:
        """The answer to the command that waits, if it can be given now."""
        if self._waiting is None:
            return b""
        command, until = self._waiting
        shown = self.platform.shown(now)
        if (shown.over or shown.under) and command == "S":
            self._waiting = None
            return self._weight(shown)
        if shown.motion and now < until:
            self._look = now + _LOOK_AGAIN_S
            return b""
        self._waiting = None
        if shown.motion:
            return _line(f"{command} I")
        match command:
            case "S":
                return self._weight(shown)
            case "Z":
                return _line("Z A") if self.platform.zero(now) else _line("Z +" if shown.gross > 0 else "Z -")
            case _:
                done = self.platform.take_tare(now)
                return _line(f"T S {self._value(self.platform.tare)}") if done else _line("T -")

    def _preset_tare(self, parameter: str) -> bytes:
        value, _, unit = parameter.strip().partition(" ")
        if unit != self._settings.unit or not _NUMBER.fullmatch(value):
            return _line("EL")
        if float(value) > self._settings.capacity:
            return _line("TA +")
        step = self._settings.increment
        self.platform.tare = round(float(value) / step) * step
        return _line(f"TA A {self._value(self.platform.tare)}")

    def _weight(self, shown: Indication) -> bytes:
        if shown.over or shown.under:
            return _line("S +" if shown.over else "S -")
        return _line(f"S {'D' if shown.motion else 'S'} {self._value(shown.value)}")

    def _value(self, value: int) -> str:
        return f"{value:>10d} {self._settings.unit}"


def _line(text: str) -> bytes:
    return text.encode("latin-1") + b"\r\n"
