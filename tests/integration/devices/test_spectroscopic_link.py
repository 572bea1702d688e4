"""N42 documents over a real TCP connection, as a portal sends them."""

import asyncio

from edge_agent.devices.link import LinkSettings
from edge_agent.domain.observation import Malformed, Opaque, RadiationAlarm, SpectroscopicMeasurement
from tests.integration.devices.conftest import Heard, talking, tcp_device, until
from tests.unit.devices.n42_documents import BACKGROUND, Slice, alarm, analysis, document, framed

BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
# Twenty seconds of ten spectra a second.
LARGE = document(BACKGROUND, *[Slice(channels=(1234,) * 1024)] * 200, results=analysis(alarm("Gamma")))


def measured(heard: Heard) -> list[SpectroscopicMeasurement]:
    return [reading.body for reading in heard.readings if isinstance(reading.body, SpectroscopicMeasurement)]


async def test_a_large_document_arrives_whole_and_alarms() -> None:
    async def portal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(LARGE) + b"\r\n")
        await writer.drain()
        await reader.read()

    assert len(LARGE) > 1_000_000
    async with tcp_device(portal) as url, talking(LinkSettings(url=url), "spectroscopic_n42") as heard:
        await until(lambda: any(isinstance(reading.body, RadiationAlarm) for reading in heard.readings))
    (measurement,) = measured(heard)
    assert measurement.gamma_counts == 200 * 1024 * 1234
    (evidence,) = [piece for reading in heard.readings for piece in reading.evidence]
    assert evidence.data == LARGE
    assert heard.raw == framed(LARGE)
    assert max(len(reading.raw) for reading in heard.readings) <= 64 * 1024
    assert heard.states[-1] == "online"


async def test_a_portal_that_is_cut_off_and_one_that_sends_a_bomb_do_no_harm() -> None:
    connections = 0

    async def portal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            writer.write(framed(document(Slice()))[:700])  # and the line goes dead
            return
        writer.write(framed(document(Slice(), head=BOMB)) + framed(document(Slice())))
        await reader.read()

    async with tcp_device(portal) as url, talking(LinkSettings(url=url), "spectroscopic_n42") as heard:
        await until(lambda: measured(heard))
    wrong = [reading.body.why for reading in heard.readings if isinstance(reading.body, Malformed)]
    assert wrong == [
        "a document without its end",
        "a document type declaration: entities can grow without bound, and N42 has none",
    ]
    assert len(measured(heard)) == 1
    assert not any(isinstance(reading.body, Opaque) for reading in heard.readings)
