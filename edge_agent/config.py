"""A booth's settings file: identity, ledger, port gateway, and the lanes with their devices and cameras.

```yaml
identity: {key: keys/booth.key, certificate: keys/booth.crt}
ledger: {directory: ledger}
uplink: {gateway: "localhost:7443", gateway_certificate: keys/gateway.crt}
lanes:
  - id: "1"
    expects: [plate, container_code, seal, radiation]
    devices:
      - {id: portal, driver: rapiscan_vm250, link: {url: "socket://192.0.2.10:1600"}}
      - {id: seal-scanner, driver: barcode_scanner, link: {url: /dev/serial/by-id/usb-scanner}}
    cameras:
      - {id: front, source: "rtsp://192.0.2.20/stream", role: plate}
      - {id: side, source: "rtsp://192.0.2.21/stream", role: container}
```
Paths are relative to the file's folder.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edge_agent.devices.catalogue import Driver, drivers
from edge_agent.devices.link import LinkSettings
from edge_agent.domain.errors import EdgeAgentError, SettingsInvalid
from edge_agent.domain.inspection import Expected
from edge_agent.inspection.assemble import Provider
from edge_agent.inspection.lane import LaneRules
from edge_agent.settings_file import read_settings
from edge_agent.uplink.link import UplinkSettings
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.wire.identity import (
    Role,
    SpiffeId,
    certificate_key,
    identity_of,
    key_id,
    load_certificate,
    load_private_key,
)


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value  # a lane 1 is meant as "1"


Id = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class IdentitySettings(_Section):
    """Who this booth is: the device key, and the certificate that `keys init` made with it."""

    key: Path
    certificate: Path


class LedgerSettings(_Section):
    """Where the ledger and the evidence lie: a folder on a local disk, of this agent alone."""

    directory: Path


class VisionSettings(_Section):
    """One recogniser serves all cameras of the booth."""

    threads: int = Field(default=2, ge=1, le=64)


class DeviceConfig(_Section):
    """A device behind a serial or network link; `settings` are its driver's own."""

    id: Id
    driver: str
    link: LinkSettings
    settings: dict[str, Any] = {}


class CameraConfig(CameraSettings):
    """A camera, by its settings in edge_agent/vision/camera_settings.py."""

    id: Id


class LaneConfig(_Section):
    """One lane: what it expects of each vehicle, how long it waits, and what stands there."""

    id: Id
    expects: list[Expected] = [Expected.PLATE]
    settle_s: float = Field(default=3.0, gt=0, le=600)
    longest_s: float = Field(default=600.0, gt=0, le=86_400)
    devices: list[DeviceConfig] = []
    cameras: list[CameraConfig] = []


class BoothConfig(_Section):
    """The whole file."""

    identity: IdentitySettings
    ledger: LedgerSettings
    uplink: UplinkSettings
    vision: VisionSettings = VisionSettings()
    lanes: list[LaneConfig] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Device:
    """A configured device, with its driver and the driver's own settings."""

    config: DeviceConfig
    driver: Driver
    settings: BaseModel


@dataclass(frozen=True, slots=True)
class LaneSetup:
    """A lane as the agent builds it."""

    rules: LaneRules
    providers: tuple[Provider, ...]
    devices: tuple[Device, ...]
    cameras: tuple[CameraConfig, ...]


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that the agent needs, checked."""

    config: BoothConfig
    booth: SpiffeId
    key: Path
    certificate: Path
    ledger: Path
    uplink: UplinkSettings
    lanes: tuple[LaneSetup, ...]


def read_config(path: Path) -> Setup:
    """Read and check a booth's settings file. Raises SettingsInvalid with every mistake."""
    config = read_settings(path, BoothConfig)
    folder = path.resolve().parent
    wrong: list[str] = []
    lanes = tuple(_lane(lane, folder, wrong) for lane in config.lanes)
    wrong += _twice("lane", (lane.id for lane in config.lanes))
    wrong += _twice("device", (d.id for lane in config.lanes for d in (*lane.devices, *lane.cameras)))
    key, certificate = folder / config.identity.key, folder / config.identity.certificate
    booth = _identity(key, certificate, wrong)
    gateway_certificate = folder / config.uplink.gateway_certificate
    uplink = config.uplink.model_copy(update={"gateway_certificate": gateway_certificate})
    try:
        load_certificate(gateway_certificate)
    except EdgeAgentError as error:
        wrong.append(f"uplink.gateway_certificate: {error}")
    if wrong or booth is None:
        count = "1 mistake" if len(wrong) == 1 else f"{len(wrong)} mistakes"
        raise SettingsInvalid("\n".join(f"{path}: {text}" for text in wrong), f"{count} to correct in {path}")
    return Setup(config, booth, key, certificate, folder / config.ledger.directory, uplink, lanes)


def _identity(key_path: Path, certificate_path: Path, wrong: list[str]) -> SpiffeId | None:
    try:
        certificate = load_certificate(certificate_path)
        booth = identity_of(certificate)
        key = load_private_key(key_path)
    except EdgeAgentError as error:
        wrong.append(f"identity: {error}")
        return None
    if booth.role is not Role.BOOTH:
        wrong.append(f"identity.certificate: {booth} is no booth\n  → make one with `edge-agent keys init`")
    if key_id(certificate_key(certificate)) != key_id(key.public_key()):
        wrong.append(
            "identity: the key and the certificate do not belong together\n  → give both files of one `keys init`"
        )
    return booth


def _lane(lane: LaneConfig, folder: Path, wrong: list[str]) -> LaneSetup:
    known = drivers()
    devices = []
    for config in lane.devices:
        driver = known.get(config.driver)
        if driver is None:
            wrong.append(
                f"device {config.id}: there is no driver {config.driver!r}\n  → use one of: {', '.join(sorted(known))}"
            )
            continue
        try:
            devices.append(Device(config, driver, driver.settings.model_validate(config.settings)))
        except ValidationError as error:
            for e in error.errors(include_url=False, include_input=False):
                place = ".".join(str(part) for part in e["loc"])
                wrong.append(f"device {config.id}: settings.{place}: {e['msg']}\n  → see docs/devices/{driver.name}.md")
    cameras = tuple(
        camera.model_copy(update={"source": str(folder / camera.source)}) if camera.is_file else camera
        for camera in lane.cameras
    )
    rules = LaneRules(lane.id, tuple(lane.expects), lane.settle_s, lane.longest_s)
    setup = LaneSetup(rules, tuple(_providers(devices, cameras)), tuple(devices), cameras)
    given = {what for provider in setup.providers for what in provider.gives}
    wrong += [
        f"lane {lane.id}: it expects {what}, and no device or camera of it can give that\n"
        "  → add the device, or take it out of `expects`"
        for what in lane.expects
        if what not in given
    ]
    return setup


def _providers(devices: list[Device], cameras: tuple[CameraConfig, ...]) -> Iterator[Provider]:
    for device in devices:
        yield Provider(device.config.id, device.driver.gives, silent_is_down=device.driver.silence_s is not None)
    for camera in cameras:
        gives = {
            "plate": frozenset({Expected.PLATE}),
            "container": frozenset({Expected.CONTAINER_CODE}),
            "both": frozenset({Expected.PLATE, Expected.CONTAINER_CODE}),
        }[camera.role]
        yield Provider(camera.id, gives, silent_is_down=True)


def _twice(kind: str, ids: Iterator[str]) -> Iterator[str]:
    seen: set[str] = set()
    for identifier in ids:
        if identifier in seen:
            yield f"{kind} {identifier}: this id stands twice\n  → give each its own"
        seen.add(identifier)
