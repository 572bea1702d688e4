"""What can happen to what: by the kind of each device, and its settings."""

from collections.abc import Mapping

from hardware_sim.device import DeviceSettings, WiredSettings
from hardware_sim.devices.catalogue import DEVICES, SERVICES
from hardware_sim.devices.imaging import ImagingSettings
from hardware_sim.faults import BYTE_KINDS, CAMERA_KINDS, PORT, PORT_KINDS, SERVED_KINDS, UNPLUGGED

# Kinds whose messages end in a check value, and the setting that turns it on, if there is one.
_CHECKED = {"toledo_continuous": "checksum", "uhfreader18": "", "uhfreader288": ""}


def device_kinds(kind: str, settings: DeviceSettings) -> frozenset[str]:
    """What can happen to a device: to its line, to its plug, and what it has of its own."""
    row = DEVICES.get(kind) or SERVICES.get(kind)
    own: frozenset[str] = getattr(row.build, "own_faults", frozenset()) if row else frozenset()
    if isinstance(settings, ImagingSettings) and settings.format != "png":
        own -= {"wrong_checksum"}  # of its formats PNG alone has check values
    if row is not None and hasattr(row.build, "message_length"):  # a server behind a relay
        return SERVED_KINDS | own
    if not isinstance(settings, WiredSettings) or kind == "modem_lines":  # contacts: no byte is ever sent
        return UNPLUGGED | own
    flag = _CHECKED.get(kind)
    checked = flag is not None and (flag == "" or bool(getattr(settings, flag, False)))
    return BYTE_KINDS | own | ({"wrong_checksum"} if checked else frozenset())


def targets_of(
    devices: Mapping[str, DeviceSettings], cameras: Mapping[str, object], *, port: bool
) -> dict[str, frozenset[str]]:
    """By target of a scenario what can happen to it; `devices` and `cameras` are settings by name."""
    kinds = {name: device_kinds(str(getattr(d, "kind", "")), d) for name, d in devices.items()}
    kinds |= dict.fromkeys(cameras, CAMERA_KINDS)
    return kinds | ({PORT: PORT_KINDS} if port else {})
