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
      - {id: x-ray, driver: watched_folder, settings: {directory: /srv/scans}}
    cameras:
      - {id: front, source: "rtsp://192.0.2.20/stream", role: plate}
      - {id: side, source: "rtsp://192.0.2.21/stream", role: container}
```
Paths are relative to the file's folder.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edge_agent.config_console import ConsoleSettings, console_mistakes
from edge_agent.config_findings import FindingsSettings, findings_mistakes
from edge_agent.config_identity import IdentitySettings, gateway_mistakes, identity_mistakes
from edge_agent.config_ledger import ledger_mistakes
from edge_agent.config_places import PlaceSettings, end_of, place_mistakes, place_of
from edge_agent.config_retention import RetentionSettings, retention_mistakes
from edge_agent.devices.catalogue import AnyDriver, Driver, SourceDriver, drivers
from edge_agent.devices.link import LinkSettings
from edge_agent.devices.owners import Held, held_places
from edge_agent.domain.inspection import Expected
from edge_agent.inspection.assemble import Provider
from edge_agent.inspection.records import LaneRules
from edge_agent.inspection.whereabouts import Driving
from edge_agent.ledger.identity import BoothIdentity
from edge_agent.settings_file import Examined, Mistake, Place, examine_settings
from edge_agent.settings_numbers import NO_NUMBER, truth_values
from edge_agent.settings_words import all_in_words, one_of, places_of
from edge_agent.uplink.link import UplinkSettings
from edge_agent.vision.camera_settings import CameraSettings
from edge_agent.vision.formats import COUNTRIES, shares
from edge_agent.wire.identity import SpiffeId, identity_of, load_certificate


class _Context(TypedDict):
    """Of the judging of devices' settings: the file's folder, and whether the files that they name must be there."""

    folder: Path
    files: bool


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value  # a lane 1 is meant as "1"


_Country = Literal[COUNTRIES]  # type: ignore[valid-type]

# Settings of sources that say where the device is.
_PLACES = ("url", "host", "port", "directory", "listen")

_ROLES = {
    "plate": frozenset({Expected.PLATE}),
    "container": frozenset({Expected.CONTAINER_CODE}),
    "both": frozenset({Expected.PLATE, Expected.CONTAINER_CODE}),
}


def _id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", text):
        raise ValueError(
            "an id has letters of A to Z, digits, '.', '_' and '-', at most 63, and begins with a letter or digit"
        )
    return text


Id = Annotated[str, BeforeValidator(_as_text), AfterValidator(_id)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LedgerSettings(_Section):
    """Where the ledger and the evidence lie: a folder on a local disk, of this agent alone."""

    directory: Path
    # So long after the port acknowledged them, events and evidence are still kept: it can be refilled from here.
    retention_days: float = Field(default=14.0, ge=0, le=3650)
    # What the ledger and its evidence may take of their file system; all of it if not given.
    budget_bytes: int | None = Field(default=None, ge=64 * 1024 * 1024)
    # Kept back, so that on a full disk what makes room can still be written.
    ballast_bytes: int = Field(default=16 * 1024 * 1024, ge=0)


class VisionSettings(_Section):
    """One recogniser serves all cameras of the booth."""

    threads: int = Field(default=2, ge=1, le=64)
    # The size, in pixels, at which text is found in a frame; it is read at the frame's own. Found at 640, the text of a
    # plate that is 100 pixels wide in a frame of 1280 still is; 960 takes about twice as long a look.
    long_side: int = Field(default=640, ge=320, le=2560)
    # Countries whose plates are expected (ISO 3166-1, as in edge_agent/vision/formats.py); none stands for all that are
    # known there. Their series tell O from 0 and I from 1; other plates are read all the same.
    countries: list[_Country] = []


class DeviceConfig(_Section, PlaceSettings):
    """A device; `settings` are its driver's own. One whose driver speaks over a serial or network link has a `link`."""

    id: Id
    driver: str
    link: LinkSettings | None = None
    settings: dict[str, Any] = {}


class CameraConfig(CameraSettings, PlaceSettings):
    """A camera, by its settings in edge_agent/vision/camera_settings.py."""

    id: Id


class LaneConfig(_Section):
    """One lane: what it expects of each vehicle, how long it waits, and what stands there."""

    id: Id
    expects: list[Expected] = [Expected.PLATE]
    settle_s: float = Field(default=3.0, gt=0, le=600)
    longest_s: float = Field(default=600.0, gt=0, le=86_400)
    # How long after a vehicle a scanner may still send its scan of it.
    scan_delay_s: float = Field(default=120.0, gt=0, le=86_400)
    # Where devices have positions: the slowest that a vehicle drives which does not stop, and the fastest; its length.
    slowest_mps: float = Field(default=1.0, ge=0.1, le=50)
    fastest_mps: float = Field(default=8.0, ge=0.1, le=50)
    shortest_m: float = Field(default=4.0, ge=1, le=100)
    longest_m: float = Field(default=30.0, ge=1, le=100)
    # So long a vehicle may stand between two presence sensors.
    stands_s: float = Field(default=180.0, ge=0, le=86_400)
    # So long after a stop or a kill of the agent an inspection goes on; later it is closed as abandoned.
    resume_s: float = Field(default=60.0, ge=0, le=3600)
    devices: list[DeviceConfig] = []
    cameras: list[CameraConfig] = []


class BoothConfig(_Section):
    """The whole file."""

    identity: IdentitySettings
    ledger: LedgerSettings
    retention: RetentionSettings = RetentionSettings()
    uplink: UplinkSettings
    vision: VisionSettings = VisionSettings()
    findings: FindingsSettings = FindingsSettings()
    console: ConsoleSettings | None = None
    lanes: list[LaneConfig] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Device:
    """A configured device, with its driver and the driver's own settings."""

    config: DeviceConfig
    driver: AnyDriver
    settings: BaseModel

    @property
    def where(self) -> str:
        """Where it is attached, for people."""
        if self.config.link is not None:
            return self.config.link.url
        stated, known = self.config.settings, type(self.settings).model_fields
        # A setting that was left out is where it is all the same: its driver's default.
        places = {name: stated.get(name, getattr(self.settings, name)) for name in _PLACES if name in known}
        return ", ".join(f"{name} {value}" for name, value in places.items() if value not in (None, "")) or "not stated"

    @property
    def silent_is_down(self) -> bool:
        """It speaks unasked or answers when asked, so its silence is a fault."""
        if isinstance(self.driver, SourceDriver):
            return not self.driver.pushes
        return self.driver.silence_s is not None


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
    folder: Path
    booth: SpiffeId
    certificate: Path
    ledger: Path
    uplink: UplinkSettings
    lanes: tuple[LaneSetup, ...]

    def identity(self) -> BoothIdentity:
        """The files of the booth's identity."""
        return BoothIdentity(self.config.identity.key, self.certificate, self.folder)


def read_config(path: Path, *, files: bool = True) -> Setup:
    """Read and check a booth's settings file. Raises SettingsInvalid with every mistake.

    Without `files`, files that devices' settings name need not be there: each such device says so by itself.
    """
    folder = path.resolve().parent
    config = examine_config(path, files=files).checked()
    certificate = folder / config.identity.certificate
    gateway_certificate = folder / config.uplink.gateway_certificate
    return Setup(
        config=config,
        folder=folder,
        booth=identity_of(load_certificate(certificate)),
        certificate=certificate,
        ledger=folder / config.ledger.directory,
        uplink=config.uplink.model_copy(update={"gateway_certificate": gateway_certificate}),
        lanes=tuple(_lane(lane, folder, config) for lane in config.lanes),
    )


def examine_config(path: Path, *, files: bool = True) -> Examined[BoothConfig]:
    """The file with all that is wrong with it. Raises SettingsInvalid if it cannot be read, or is not YAML."""
    context: _Context = {"folder": path.resolve().parent, "files": files}
    return examine_settings(path, BoothConfig, lambda values: _mistakes(values, context))


def expired_certificates(setup: Setup, now: datetime) -> list[str]:
    """What `check` says of certificates that are out of date: the port will not speak with this booth."""
    paths = {"identity.certificate": setup.certificate, "uplink.gateway_certificate": setup.uplink.gateway_certificate}
    return [
        f"{place}: expired at {load_certificate(path).not_valid_after_utc:%Y-%m-%d %H:%M} UTC\n"
        "  → get a new one; until then events are kept here and not sent"
        for place, path in paths.items()
        if load_certificate(path).not_valid_after_utc < now
    ]


def configured(device: DeviceConfig, folder: Path) -> Device:
    """The device with its driver; `folder` is the settings file's. Its settings were checked."""
    driver = drivers()[device.driver]
    return Device(device, driver, driver.settings.model_validate(device.settings, context={"folder": folder}))


def _lane(lane: LaneConfig, folder: Path, config: BoothConfig) -> LaneSetup:
    devices = tuple(configured(device, folder) for device in lane.devices)
    cameras = tuple(
        camera.model_copy(update={"source": str(folder / camera.source)}) if camera.is_file else camera
        for camera in lane.cameras
    )
    places = {d.id: place_of(d) for d in lane.devices} | {c.id: place_of(c, c.role) for c in lane.cameras}
    rules = LaneRules(
        *(lane.id, tuple(lane.expects), lane.settle_s, lane.longest_s, lane.scan_delay_s),
        places={id: place for id, place in places.items() if place is not None},
        driving=Driving(lane.slowest_mps, lane.fastest_mps, lane.shortest_m, lane.longest_m, lane.stands_s),
        series=shares(tuple(config.vision.countries) or COUNTRIES),
        findings=config.findings.rules,
        resume_s=lane.resume_s,
    )
    providers = (
        *(Provider(d.config.id, d.driver.gives, d.silent_is_down, end_of(d.config)) for d in devices),
        *(Provider(c.id, _ROLES[c.role], silent_is_down=True, sees=end_of(c, c.role)) for c in cameras),
    )
    return LaneSetup(rules, providers, devices, cameras)


# --- what no single setting can say of itself; on the values as read, so that it is reported with all the rest --------


def _mistakes(values: object, context: _Context) -> Iterator[Mistake]:
    folder = context["folder"]
    yield from identity_mistakes(_mapping(values, "identity"), folder, context["files"])
    yield from gateway_mistakes(_mapping(values, "uplink"), folder)
    yield from ledger_mistakes(_mapping(values, "ledger"), folder)
    yield from console_mistakes(values, folder, context["files"])
    yield from retention_mistakes(_mapping(values, "retention"), _mapping(values, "ledger"))
    lanes = list(items_of(values, (), "lanes"))
    devices = [at for place, lane in lanes for key in ("devices", "cameras") for at in items_of(lane, place, key)]
    known = [[str(item.get("id")) for _, item in items] for items in (lanes, devices)]
    yield from findings_mistakes(_mapping(values, "findings"), *known)
    yield from _twice(lanes)
    yield from _twice(devices)
    yield from _shared([at for place, lane in lanes for at in items_of(lane, place, "devices")], folder)
    for place, lane in lanes:
        yield from _lane_mistakes(place, lane, context)


def _lane_mistakes(place: Place, lane: dict[str, object], context: _Context) -> Iterator[Mistake]:
    known = drivers()
    # What a device gives that is itself a mistake is not known: that nothing gives it would be said in vain.
    given = set() if all(isinstance(lane.get(key, []), list) for key in ("devices", "cameras")) else set(Expected)
    yield from _driving_mistakes(place, lane)
    placed = [*items_of(lane, place, "devices"), *items_of(lane, place, "cameras")]
    scanners = [name for name, driver in known.items() if driver.gives == {Expected.SCAN}]  # a scan is no place's
    yield from place_mistakes([(at, item) for at, item in placed if item.get("driver") not in scanners])
    for at, device in items_of(lane, place, "devices"):
        name = device.get("driver")
        driver = known.get(name) if isinstance(name, str) else None
        if driver is not None:
            given |= driver.gives
            yield from _link_mistakes(at, driver, device)
            yield from _settings_mistakes((*at, "settings"), driver, device.get("settings", {}), context)
        else:
            given |= set(Expected)
            if isinstance(name, str):
                yield Mistake((*at, "driver"), f"there is no driver {name!r}", one_of(name, sorted(known)))
    for _, camera in items_of(lane, place, "cameras"):
        given |= _ROLES.get(str(camera.get("role", "both")), _ROLES["both"])
    expects = lane.get("expects")
    for index, what in enumerate(expects if isinstance(expects, list) else []):
        if isinstance(what, str) and what in set(Expected) and what not in given:
            yield Mistake(
                (*place, "expects", index),
                f"the lane expects {what}, and no device or camera of it can give that",
                "add the device, or take it out of `expects`",
            )


def _driving_mistakes(place: Place, lane: dict[str, object]) -> Iterator[Mistake]:
    for low, high in (("slowest_mps", "fastest_mps"), ("shortest_m", "longest_m")):
        least, most = (lane.get(name, LaneConfig.model_fields[name].default) for name in (low, high))
        if isinstance(least, int | float) and isinstance(most, int | float) and least >= most:
            yield Mistake((*place, low), f"{low} is not below {high}: {least:g} and {most:g}", "let it be smaller")


def _link_mistakes(place: Place, driver: AnyDriver, device: dict[str, object]) -> Iterator[Mistake]:
    if isinstance(driver, Driver) and device.get("link") is None:
        yield Mistake(place, f"the driver {driver.name} needs a link", 'say where the device is: link: {url: "…"}')
    if isinstance(driver, SourceDriver) and device.get("link") is not None:
        wrong = f"the driver {driver.name} takes no link: its `settings` say where the device is"
        yield Mistake((*place, "link"), wrong, f"take it out, and see docs/devices/{driver.name}.md")


def _settings_mistakes(place: Place, driver: AnyDriver, settings: object, context: _Context) -> Iterator[Mistake]:
    if not isinstance(settings, dict):
        return  # said of `settings` itself
    for at in truth_values(settings, driver.settings, place):
        yield Mistake(at, *NO_NUMBER)
    try:
        driver.settings.model_validate(settings, context=context)
    except ValidationError as error:
        for at, wrong, remedy in all_in_words(error, driver.settings, places_of(settings)):
            page = f"see docs/devices/{driver.name}.md"
            yield Mistake((*place, *at), wrong, f"{remedy} ({page})" if remedy else page)


def _twice(items: list[tuple[Place, dict[str, object]]]) -> Iterator[Mistake]:
    seen: set[str] = set()
    for place, item in items:
        identifier = str(item.get("id", place))
        if identifier in seen:
            yield Mistake((*place, "id"), f"{identifier!r} stands here a second time", "give each an id of its own")
        seen.add(identifier)


def _shared(devices: list[tuple[Place, dict[str, object]]], folder: Path) -> Iterator[Mistake]:
    """A port has one owner: two readers would each get some of its bytes."""
    known, owners = drivers(), list[tuple[Held, object]]()
    for place, device in devices:
        driver = known.get(str(device.get("driver")))
        for held in held_places(driver, device, folder) if driver else ():
            first = next(((other, owner) for other, owner in owners if other.meets(held)), None)
            if first is not None:
                other, owner = first
                both = f": both are {held.place}" if held.place == other.place != held.said else ""
                wrong = f"{held.said} is of {str(owner)!r} already" + (both or other.also(held))
                yield Mistake(
                    (*place, *held.setting), wrong, "a port or folder has one owner: give each device its own"
                )
                break  # what else they share follows from it
            owners.append((held, device.get("id", "another device")))


def _mapping(values: object, key: str) -> dict[str, object]:
    found = values.get(key) if isinstance(values, dict) else None
    return found if isinstance(found, dict) else {}


def items_of(values: object, place: Place, key: str) -> Iterator[tuple[Place, dict[str, object]]]:
    """The mappings in the list `key` of what stands at `place`, each with its own place."""
    found = values.get(key) if isinstance(values, dict) else None
    for index, item in enumerate(found if isinstance(found, list) else []):
        if isinstance(item, dict):
            yield (*place, key, index), item
