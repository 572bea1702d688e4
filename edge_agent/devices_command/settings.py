"""A booth's devices as far as its settings file can be judged: a mistake elsewhere in it keeps nobody from a probe."""

from dataclasses import dataclass
from pathlib import Path

from edge_agent.config import Device, DeviceConfig, configured, examine_config, items_of
from edge_agent.domain.errors import SettingsInvalid


@dataclass(frozen=True, slots=True)
class Attached:
    """`devices` with their lanes' ids. `left_out` are the ids of those with a mistake; `wrong` says every mistake."""

    devices: tuple[tuple[str, Device], ...]
    left_out: tuple[str, ...]
    ledger: Path | None
    wrong: SettingsInvalid | None

    def chosen(self, names: list[str]) -> list[Device]:
        """The devices of these names, all of them without names.

        Raises SettingsInvalid on an unknown one, and on one with a mistake.
        """
        devices = {device.config.id: device for _, device in self.devices}
        for name in names:
            if name in self.left_out and name not in devices and self.wrong is not None:
                raise self.wrong
            if name not in devices:
                known = ", ".join(devices) or "none: the file has no devices"
                raise SettingsInvalid(f"there is no device {name!r} in the settings file", f"its devices are: {known}")
        return [devices[name] for name in dict.fromkeys(names)] if names else list(devices.values())

    def warning(self) -> str:
        """What is wrong with the file and what follows from it; '' if nothing is."""
        if self.wrong is None:
            return ""
        out = f"left out: {', '.join(self.left_out)}" if self.left_out else "none of them is about a device"
        lock = "" if self.ledger else "\n  → whether this booth's agent runs cannot be told: stop it first"
        return f"the agent will not start with this file; {out}\n{self.wrong}{lock}"


def read_devices(path: Path) -> Attached:
    """Raises SettingsInvalid if the file cannot be read, or is not YAML."""
    folder, examined = path.resolve().parent, examine_config(path)
    devices, left_out = list[tuple[str, Device]](), list[str]()
    for place, lane in items_of(examined.values, (), "lanes"):
        for at, item in items_of(lane, place, "devices"):
            if any(wrong[: len(at)] == at for wrong in examined.places):
                left_out.append(str(item.get("id", "one without an id")))
            else:
                device = configured(DeviceConfig.model_validate(item), folder)
                devices.append((str(lane.get("id", "?")), device))
    return Attached(tuple(devices), tuple(left_out), _ledger(examined.values, folder), examined.wrong)


def _ledger(values: object, folder: Path) -> Path | None:
    ledger = values.get("ledger") if isinstance(values, dict) else None
    directory = ledger.get("directory") if isinstance(ledger, dict) else None
    return folder / directory if isinstance(directory, str) else None
