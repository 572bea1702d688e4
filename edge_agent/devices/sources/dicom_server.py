"""pynetdicom's server, with bounds that it has not: on connections, on PDUs and data sets, and on time.

     association's threads (two each): PDUs ─► data set ─► on_store ──► loop: intake ─► emit ─► durable
                                                              ▲ waits ◄──────── status ───────────┘

It is imported only where pynetdicom is needed.
"""

import asyncio
import concurrent.futures
import logging
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, cast

from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.events import Event
from pynetdicom.fsm import AA_4, InvalidEventError, StateMachine
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import register_uid, uid_to_service_class
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from edge_agent.devices.sources.dicom_file import DEFLATED
from edge_agent.devices.sources.intake import Intake, NotTaken
from edge_agent.devices.sources.scan_file import MAX_FILE_BYTES, NOTHING
from edge_agent.devices.sources.scan_reading import File
from edge_agent.domain.errors import LinkDown

SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
# Preamble and file meta information, written before each data set.
META_MAX = 4096
# The associate request lists up to 128 presentation contexts and is not bound by the size of PDUs.
ASSOCIATE_MAX = 256 * 1024
# Besides associations: peers that are refused, or still say who they are.
SPARE_CONNECTIONS = 4
# A request for an association, a TLS handshake, one PDU.
STEP_S = 20.0
STOP_S = 10.0
VERIFICATION = "1.2.840.10008.1.1"
# NEMA IIC 1's SOP classes, in pydicom's dictionary but not among pynetdicom's storage classes.
DICOS = tuple(f"1.2.840.10008.5.1.4.1.1.501.{kind}" for kind in ("1", "2.1", "2.2", "3", "4", "5", "6"))

log = logging.getLogger(__name__)


class Bounds(Protocol):
    """What the server needs of the settings."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def ae_title(self) -> str: ...
    @property
    def calling_ae_titles(self) -> tuple[str, ...]: ...
    @property
    def sop_classes(self) -> tuple[str, ...]: ...
    @property
    def max_associations(self) -> int: ...
    @property
    def max_pdu_kb(self) -> int: ...
    @property
    def idle_s(self) -> float: ...
    @property
    def answer_s(self) -> float: ...


class DicomServer:
    """Made and started in the loop; stopped in a thread."""

    def __init__(
        self, bounds: Bounds, intake: Intake, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext | None
    ) -> None:
        self._bounds = bounds
        self._intake = intake
        self._loop = loop
        self._context = context
        self._server: _Server | None = None
        self._serving: threading.Thread | None = None

    def start(self) -> str:
        """Returns where it listens. Raises LinkDown when the address cannot be had."""
        bounds = self._bounds
        entity = ApplicationEntity(bounds.ae_title)
        entity.require_called_aet = True
        entity.require_calling_aet = list(bounds.calling_ae_titles)
        entity.maximum_associations = bounds.max_associations
        entity.maximum_pdu_size = bounds.max_pdu_kb * 1024
        entity.network_timeout = bounds.idle_s
        entity.acse_timeout = entity.dimse_timeout = STEP_S
        syntaxes = [syntax for syntax in ALL_TRANSFER_SYNTAXES if syntax != DEFLATED]
        standard = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
        for uid in dict.fromkeys([*standard, *DICOS, *bounds.sop_classes]):
            if uid_to_service_class(uid) is not StorageServiceClass:
                register_uid(uid, f"Storage_{uid.replace('.', '_')}", StorageServiceClass)
            entity.add_supported_context(UID(uid), syntaxes)
        entity.add_supported_context(VERIFICATION)
        try:
            self._server = _Server(
                entity,
                (bounds.host, bounds.port),
                bounds.ae_title,
                entity.supported_contexts,
                ssl_context=self._context,
                evt_handlers=[
                    (evt.EVT_C_STORE, self._on_store),
                    (evt.EVT_CONN_CLOSE, _on_close),
                    (evt.EVT_FSM_TRANSITION, _on_transition),
                    (evt.EVT_REJECTED, _on_rejected),
                ],
                request_handler=_Handler,
            )
        except (OSError, socket.gaierror) as error:
            raise LinkDown(
                f"cannot listen on {bounds.host}:{bounds.port}: {error.strerror or error}",
                "check that the address is this computer's and that no other program has the port",
            ) from None
        entity._servers.append(self._server)  # noqa: SLF001 - its shutdown takes itself from there
        self._serving = threading.Thread(
            target=self._serve, args=(self._server,), name=f"dicom server {bounds.port}", daemon=True
        )
        self._serving.start()
        host, port = self._server.server_address[:2]
        return f"{host}:{port}"

    def _serve(self, server: "_Server") -> None:
        """In the server's thread. If it breaks the source is started anew: the port would listen, and nobody accept."""
        try:
            server.serve_forever(0.1)
        except Exception as error:
            log.exception("the DICOM server broke")
            broke = LinkDown(f"the DICOM server broke: {error!r}", "it starts anew; report what the log says of it")
            self._loop.call_soon_threadsafe(self._intake.fail, broke)

    def stop(self) -> None:
        """Ends every association, and returns once its threads have ended, or after STOP_S."""
        server, deadline = self._server, time.monotonic() + STOP_S
        if server is None or self._serving is None:
            return
        server.shutdown()
        self._serving.join(STOP_S)
        server.cut()
        while (left := server.threads()) and time.monotonic() < deadline:
            for thread in left:
                thread.join(0.05)
            server.cut()
        server.server_close()

    def _on_store(self, event: Event) -> int:
        """In an association's thread. Returns the status once it is known."""
        data = event.encoded_dataset(include_meta=False)
        peer = event.assoc.requestor.ae_title
        if not data:
            self._report(f"{peer} sent a C-STORE without a data set")
            return CANNOT_UNDERSTAND
        if len(data) > MAX_FILE_BYTES - META_MAX:
            self._report(f"{peer} sent a data set of more than {MAX_FILE_BYTES >> 20} MiB: it is not taken over")
            return OUT_OF_RESOURCES
        name = f"{getattr(event.request, 'AffectedSOPInstanceUID', '')}.dcm"
        taking = self._intake.take(File(name, event.encoded_dataset()), NOTHING)
        return SUCCESS if self._wait_for(taking, peer) else OUT_OF_RESOURCES

    def _report(self, why: str) -> None:
        self._wait_for(self._intake.report(why), why)

    def _wait_for(self, coroutine: Any, peer: str) -> bool:
        """Whether it went through."""
        try:
            asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(self._bounds.answer_s + STEP_S)
        except (NotTaken, TimeoutError, concurrent.futures.CancelledError, RuntimeError) as reason:
            coroutine.close()
            log.warning("what %s sent was not taken over: %s", peer, reason)
            return False
        return True


class _Dimse(DIMSEServiceProvider):
    """Holds no more of a data set than can be taken: one byte more tells that it was larger."""

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self._held = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Called for each PDU."""
        if self.msg_queue.qsize() > 1:  # PS3.7 D.3.3.3: nobody negotiated requests that do not wait for their answers
            log.warning("%s does not wait for answers", self.assoc.requestor.ae_title)
            self.dul.event_queue.put("Evt19")
            return
        try:
            self._bound(primitive)
            super().receive_primitive(primitive)
        except Exception as error:  # noqa: BLE001 - or the thread ends, and its connection is held for ever
            log.warning("%s sent what is no DIMSE message: %s", self.assoc.requestor.ae_title, error)
            self.dul.event_queue.put("Evt19")

    def _bound(self, primitive: P_DATA) -> None:
        """Raises IndexError on a value without its control byte (PS3.8 9.3.5.1)."""
        kept: list[Any] = []
        for context, data in primitive.presentation_data_value_list:
            control, value = data[:1], data[1:]
            most = MAX_FILE_BYTES if not control[0] & 1 else ASSOCIATE_MAX
            value = value[: max(0, most - self._held)]
            self._held = 0 if control[0] & 2 else self._held + len(value)
            kept.append([context, control + value])
        primitive.presentation_data_value_list = kept


class _StateMachine(StateMachine):
    """The library's (PS3.8 9.2), which ends its thread by an exception, and lets the connection be held."""

    def do_action(self, event: str) -> None:
        """Called for each event, in the association's second thread."""
        try:
            super().do_action(event)
        except InvalidEventError:  # what this side says, and the association ended meanwhile: nobody is to hear it
            with suppress(queue.Empty):
                self.dul.to_provider_queue.get(block=False)
        except Exception as error:  # noqa: BLE001 - whatever the library does not expect in a PDU
            address = self.dul.assoc.requestor.address_info
            log.warning("%s sent what cannot be read: %s", address.address if address else "a peer", error)
            self.transition(AA_4(self.dul))  # as if the peer had hung up


class _Socket(AssociationSocket):
    """A PDU comes whole within STEP_S, and is no larger than was agreed."""

    largest = ASSOCIATE_MAX

    def recv(self, nr_bytes: int) -> bytearray:
        """Raises OSError, upon which the association is ended."""
        if nr_bytes > self.largest:
            raise OSError(f"a PDU of {nr_bytes} bytes")
        connection, deadline, received = self.socket, time.monotonic() + STEP_S, bytearray()
        if connection is None:
            return received
        while len(received) < nr_bytes:
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            data = connection.recv(min(nr_bytes - len(received), 65_536))
            if not data:
                break
            received += data
            if time.monotonic() > deadline:
                raise TimeoutError("a PDU that comes too slowly")
        connection.settimeout(STEP_S)
        return received

    def _shutdown_socket(self) -> None:
        """The library's leaves a connection open that its peer has closed."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


class _Handler(RequestHandler):
    """Sets an association up, in a thread of its own: TLS first, if there is any."""

    server: "_Server"

    def handle(self) -> None:
        """Called by the server's thread for this connection."""
        connection = self.request
        connection.settimeout(STEP_S)
        if isinstance(connection, ssl.SSLSocket):
            try:
                connection.do_handshake()
            except (OSError, ssl.SSLError) as error:
                log.warning("a TLS handshake with %s failed: %s", self.client_address[0], error)
                self.server.shutdown_request(connection)
                return
        super().handle()

    def _create_association(self) -> Association:
        association = super()._create_association()
        bounded = _Socket(association, client_socket=self.request)
        bounded.largest = max(ASSOCIATE_MAX, self.ae.maximum_pdu_size)
        association.dul.socket = bounded
        association.dul.event_queue.get_nowait()  # the other socket said as well that there is a connection
        association.dul.state_machine = _StateMachine(association.dul)
        association.dimse = _Dimse(association)
        association.daemon = association.dul.daemon = True
        cast(_Connection, threading.current_thread()).association = association
        return association


class _Connection(threading.Thread):
    """Sets an association up; ends once that runs, in two threads of its own."""

    association: Association | None = None

    def __init__(self, request: socket.socket, serve: Callable[[], None]) -> None:
        super().__init__(target=serve, daemon=True)
        self.request = request

    def cut(self) -> None:
        """Ends what sets the association up, as a TLS handshake that does not come."""
        with suppress(OSError):
            socket.socket.shutdown(self.request, socket.SHUT_RDWR)  # an SSLSocket's own is not for another thread

    def threads(self) -> list[threading.Thread]:
        """Those that run: one at least, from start() until the connection has ended."""
        # Asked first: when it has ended, its association is known.
        running: list[threading.Thread] = [self] if self.is_alive() else []
        if self.association is not None:
            running += [thread for thread in (self.association, self.association.dul) if thread.is_alive()]
        return running


class _Server(ThreadedAssociationServer):
    """Accepts, and hands each connection to a thread."""

    # Of socketserver's five the kernel drops the next, and a scanner among them connects again seconds later.
    request_queue_size = 64

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self._connections: list[_Connection] = []  # only the server's thread changes it
        super().__init__(*arguments, **settings)

    def get_request(self) -> tuple[socket.socket, Any]:
        """The handshake is the handler's: here one peer that says nothing would hold up all."""
        connection, address = self.socket.accept()  # type: ignore[union-attr]  # until it is closed
        if self.ssl_context:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """False closes the connection."""
        self._connections = [connection for connection in self._connections if connection.threads()]
        return len(self._connections) < self.ae.maximum_associations + SPARE_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        """It counts from here on: its thread may come to run only after the next connections were asked about."""
        connection = _Connection(request, partial(self.process_request_thread, request, client_address))
        connection.start()
        self._connections.append(connection)

    def threads(self) -> list[threading.Thread]:
        """Those that run."""
        return [thread for connection in self._connections for thread in connection.threads()]

    def cut(self) -> None:
        """Ends associations by closing their connections: what they say of it is not waited for."""
        for connection in self._connections:
            association = connection.association
            if association is None:
                connection.cut()
                continue
            association._kill = True  # noqa: SLF001 - kill() waits, and an answer may never be read
            association.dul.kill_dul()
            _wake(association)
            association._reactor_checkpoint.set()  # noqa: SLF001
            carrier = association.dul.socket.socket if association.dul.socket else None
            if carrier is not None:
                with suppress(OSError):
                    carrier.shutdown(socket.SHUT_RDWR)


def _on_close(event: Event) -> None:
    """A peer that goes before it asked for an association would be waited for until STEP_S."""
    if event.assoc.requestor.primitive is None:
        _wake(event.assoc)


def _on_transition(event: Event) -> None:
    """A peer that was told of an abort (PS3.8 9.2.3, AA-1, AA-7, AA-8) is not listened to any more."""
    if event.action in ("AA-1", "AA-7", "AA-8") and event.assoc.dul.socket and event.assoc.dul.socket.socket:
        with suppress(OSError):
            event.assoc.dul.socket.socket.shutdown(socket.SHUT_RD)


def _on_rejected(event: Event) -> None:
    peer, called = event.assoc.requestor, getattr(event.assoc.requestor.primitive, "called_ae_title", "")
    log.warning(
        "%r at %s asked for %r and was refused: check `calling_ae_titles`, `ae_title` and `max_associations`",
        peer.ae_title,
        peer.address_info.address if peer.address_info else "",
        called,
    )


def _wake(association: Association) -> None:
    """Its thread waits for a primitive; None says that none came."""
    association.dul.to_user_queue.put(None)


# Its own log tells every message, and every error of a peer with a traceback: what matters is told here.
_config.LOG_HANDLER_LEVEL = "none"
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
