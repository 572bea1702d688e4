"""A call that blocks, in a thread of its own, from a task that may be cancelled meanwhile."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")

# How long a task that is cancelled waits for its thread. A call that hangs in the kernel (a dead network share) cannot
# be ended: its thread is a daemon, and does not keep the agent from stopping.
CLOSE_S = 10.0


async def in_thread(call: Callable[[], Result], name: str) -> Result:
    """What `call` returns or raises. Cancelled, it ends once the call has, or after CLOSE_S."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None is a result where Result allows it

    def work() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as raised:  # noqa: BLE001 - raised by the task
            error = raised
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait({done}, timeout=CLOSE_S)
        if done.done():
            done.exception()  # nobody else will look
        raise
    finally:
        if done.done():
            thread.join()  # it has nothing left to do
