"""The messages of a stream as they come. Bytes that are no message are refused in words, not by gRPC's."""

from collections.abc import AsyncIterator
from typing import TypeVar

from google.protobuf.message import DecodeError

from edge_agent.wire.refused import RefusalCode, Refused

T = TypeVar("T")


async def decoded(requests: AsyncIterator[T]) -> AsyncIterator[T]:
    """`requests` until their end. Raises Refused(PROTOCOL)."""
    try:
        async for request in requests:
            yield request
    except DecodeError:
        raise Refused(RefusalCode.PROTOCOL, "what was sent is no message of this protocol") from None
