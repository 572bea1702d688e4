"""A reader's dialogue with a clock that is stepped. Frames marked published are others' captures, not made here."""

from edge_agent.devices.drivers.uhfreader18 import Settings, UhfReader18
from edge_agent.devices.uhf_frames import crc, frame
from edge_agent.domain.observation import Body, Opaque, Reading

# Published
TAG_18 = bytes.fromhex("13000103010c0000000000000000000003133f39")
TAG_288 = bytes.fromhex("1500010301010c0000000000000000000003136bb1a5")
NONE_288 = bytes.fromhex("0700010101001e4b")
INFORMATION_288 = bytes.fromhex("1100210000160c034e001e0a01000000e651")

ASK_INFORMATION = frame(0, 0x21)
INVENTORY_18 = frame(0, 0x01)
SEAL = b"SEAL00000001"
SEALS = {"text_prefix": "SEAL", "tamper": {"bank": "user", "word": 3, "bit": 15}}


def answer(code: int, status: int, data: bytes = b"", address: int = 0) -> bytes:
    body = bytes([len(data) + 5, address, code, status]) + data
    return body + crc(body)


OWN_18 = bytes.fromhex("0016090200001e05")  # inventories of 0.5 s
INFORMATION_18 = answer(0x21, 0, OWN_18)
NO_TAG = answer(0x01, 0xFB)


def inventory(*epcs: bytes, status: int = 0x01) -> bytes:
    return answer(0x01, status, bytes([len(epcs)]) + b"".join(bytes([len(epc)]) + epc for epc in epcs))


class Booth:
    """The dialogue with a clock that is stepped."""

    def __init__(self, **settings: object) -> None:
        self.now = now = 100.0
        self.dialogue = UhfReader18(Settings.model_validate(settings))
        self.dialogue.opened(now)

    def asks(self) -> bytes:
        return self.dialogue.to_send()

    def hears(self, data: bytes, after: float = 0.0) -> list[Body]:
        """What is news."""
        bodies = [reading.body for reading in self.readings(data, after)]
        return [body for body in bodies if not (isinstance(body, Opaque) and body.tag == "inventory")]

    def readings(self, data: bytes, after: float = 0.0) -> list[Reading]:
        self.now += after
        return list(self.dialogue.received(data, self.now))

    def waits(self, until: float) -> list[Body]:
        """Wakes as often as the dialogue asks for within the time."""
        bodies: list[Body] = []
        end = self.now + until
        while (wake := self.dialogue.next_wake()) is not None and wake <= end:
            self.now = max(self.now, wake)
            bodies += [reading.body for reading in self.dialogue.woke(self.now)]
        self.now = end
        return bodies


def informed(**settings: object) -> Booth:
    """One that has asked who the reader is, and now awaits an inventory."""
    booth = Booth(**settings)
    address = booth.dialogue._settings.address
    assert booth.asks() == frame(address, 0x21)
    booth.hears(answer(0x21, 0, OWN_18, address % 255) if settings.get("model", 18) == 18 else INFORMATION_288)
    return booth


def polled(**settings: object) -> Booth:
    booth = informed(**settings)
    assert booth.asks()
    return booth
