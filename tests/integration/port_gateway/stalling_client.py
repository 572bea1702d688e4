"""A back-office or a booth in a process of its own, that the test can stop: `ROLE ADDRESS ROOTS KEY CERTIFICATE`.

A back-office subscribes to everything and reads one event; a booth says hello and reads the welcome. Then it says so,
and waits for ever.
"""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from edge_agent.wire.v1alpha1 import services_pb2 as wire
from edge_agent.wire.v1alpha1.services_pb2_grpc import IngestServiceStub, SubscribeServiceStub


def main() -> None:
    role, address, *files, hello = sys.argv[1:]
    roots, key, certificate = (Path(file).read_bytes() for file in files)
    channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(roots, key, certificate))
    for_ever = threading.Event()

    def requests(first: Any) -> Iterator[Any]:
        yield first
        for_ever.wait()

    if role == "back-office":
        start = wire.SubscribeRequest(start=wire.SubscribeStart(after=0, max_outstanding=10_000))
        answers: Iterator[object] = SubscribeServiceStub(channel).Subscribe(requests(start))
    else:
        first = wire.StreamEventsRequest(hello=wire.Hello.FromString(bytes.fromhex(hello)))
        answers = IngestServiceStub(channel).StreamEvents(requests(first))
    next(answers)
    print("reading", flush=True)
    for_ever.wait()


if __name__ == "__main__":
    main()
