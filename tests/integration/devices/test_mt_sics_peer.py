"""MT-SICS with a third party's scale: mt-sics-emulator on a real socket, its platform moved by its own simulator.

The emulator answers SI with `SI S …` where the manual says `S S …`, and I2 with the serial number: both are read.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from mtsics.core.simulator import SimConfig, WeightSimulator
from mtsics.core.state import ScaleState
from mtsics.profiles import load
from mtsics.protocol.engine import MTSICSEngine
from mtsics.transport.tcp import TCPConfig, TCPTransport

from edge_agent.devices.catalogue import CATALOGUE
from edge_agent.devices.drivers.mt_sics import Settings
from edge_agent.devices.link import LinkSettings
from edge_agent.devices.talk import talk
from edge_agent.domain.clock import SystemClock
from edge_agent.domain.observation import DeviceFault, DeviceSetup, FaultKind, Malformed, Opaque, Weight
from tests.integration.devices.conftest import Heard, until


class Scale:
    """An IND570 terminal of 300 kg in steps of 0.1 kg."""

    def __init__(self) -> None:
        self.state = ScaleState(config=load("mt-ind570"))
        self.platform = WeightSimulator(
            self.state, SimConfig(settle_tau=0.15, stability_window=0.3, noise_sigma=0.0), seed=1
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._serving: TCPTransport | None = None

    async def switch_on(self) -> None:
        settings = TCPConfig(host="127.0.0.1", port=self.port, sim_tick_rate=100.0, sir_rate=20.0)
        self._serving = TCPTransport(MTSICSEngine(self.state), simulator=self.platform, cfg=settings)
        await self._serving.start()

    async def switch_off(self) -> None:
        if self._serving:
            await self._serving.close()


@asynccontextmanager
async def weighing(**settings: object) -> AsyncIterator[tuple[Scale, Heard]]:
    scale, heard, row = Scale(), Heard(), CATALOGUE["mt_sics"]
    await scale.switch_on()
    link = LinkSettings(url=f"socket://127.0.0.1:{scale.port}")
    asked = Settings.model_validate({"poll_interval_s": 0.05, **settings})
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(
            talk("scale", row, asked, link, heard.emit, SystemClock(), uniform=lambda low, high: 0.02)
        )
        try:
            yield scale, heard
        finally:
            task.cancel()
            await asyncio.wait({task})
            await scale.switch_off()


def weights(heard: Heard) -> list[Weight]:
    return [reading.body for reading in heard.readings if isinstance(reading.body, Weight)]


def faults(heard: Heard) -> list[DeviceFault]:
    return [reading.body for reading in heard.readings if isinstance(reading.body, DeviceFault)]


@pytest.mark.parametrize("mode", ["SI", "SIR"])
async def test_a_load_is_put_on_settles_and_is_taken_off(mode: str) -> None:
    async with weighing(mode=mode) as (scale, heard):
        await until(lambda: any(weight.settled and weight.kg == 0 for weight in weights(heard)))
        scale.platform.set_target(123.4)
        await until(lambda: any(weight.settled and weight.kg == 123.4 for weight in weights(heard)))
        scale.platform.set_target(0.0)
        await until(lambda: weights(heard)[-1].settled and weights(heard)[-1].kg == 0)
    # On the way to 123.4 kg and back the scale says `D`; the decay's last tenth is within its own increment.
    settled = {weight.shown for weight in weights(heard) if weight.settled}
    assert all(min(abs(float(shown)), abs(float(shown) - 123.4)) < 0.35 for shown in settled), settled
    assert any(not weight.settled and 10 < weight.kg < 110 for weight in weights(heard)), "seen on the move"
    assert {weight.unit for weight in weights(heard)} == {"kg"}
    assert not any(isinstance(reading.body, Malformed) for reading in heard.readings)
    assert heard.states == ["waiting", "online"]


async def test_it_says_what_scale_it_is() -> None:
    async with weighing() as (scale, heard):
        await until(lambda: weights(heard))
    (setup,) = [reading.body for reading in heard.readings if isinstance(reading.body, DeviceSetup)]
    config = scale.state.config
    assert setup.values == (
        ("balance", config.serial_number),
        ("software", config.sw_version),
        ("serial_number", config.serial_number),
    )
    asked = [reading.body.tag for reading in heard.readings if isinstance(reading.body, Opaque)]
    assert asked[:3] == ["I2", "I3", "I4"]


async def test_overload_and_underload_are_told_once_each_way() -> None:
    async with weighing() as (scale, heard):
        await until(lambda: weights(heard))
        scale.platform.snap_to(400.0)
        await until(lambda: len(faults(heard)) == 1)
        scale.platform.snap_to(50.0)
        await until(lambda: len(faults(heard)) == 2)
        scale.platform.snap_to(-20.0)
        await until(lambda: len(faults(heard)) == 3)
        scale.platform.snap_to(0.0)
        await until(lambda: len(faults(heard)) == 4)
    assert faults(heard) == [
        DeviceFault(FaultKind.OUT_OF_RANGE, True, "over capacity"),
        DeviceFault(FaultKind.OUT_OF_RANGE, False, "over capacity"),
        DeviceFault(FaultKind.OUT_OF_RANGE, True, "under range"),
        DeviceFault(FaultKind.OUT_OF_RANGE, False, "under range"),
    ]
    assert not any(weight.kg in (400.0, -20.0) for weight in weights(heard))


async def test_an_operators_tare_is_left_alone() -> None:
    async with weighing() as (scale, heard):
        await until(lambda: weights(heard))
        scale.platform.snap_to(20.0)
        scale.state.do_tare(immediate=True)
        await until(lambda: weights(heard)[-1].kg == 0)
    async with weighing() as (again, heard):  # another connection asks anew, and clears nothing
        again.state.do_set_tare(20.0)
        await until(lambda: weights(heard) and weights(heard)[-1].kg == -20.0)
        assert again.state.tare == 20.0
        assert all(weight.gross is None for weight in weights(heard)), "the scale does not say which it is"
