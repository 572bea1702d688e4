"""Takes the sizes that an ONNX file states for its inputs and outputs away, so that it runs at any size.

Some files state the sizes of an example though the network has none. ONNX Runtime then refuses every other size, and
takes weights that are listed among the inputs for changeable, which costs it half of its speed. Only the statements
change: no weight and no operation. The file is walked as protobuf's wire format (protobuf.dev, "Encoding"); fields by
their numbers in onnx.proto.
"""

from collections.abc import Iterator

_GRAPH, _INITIALIZER, _INPUT, _OUTPUT = 7, 5, 11, 12  # ModelProto.graph; GraphProto's fields
_TENSOR_NAME, _VALUE_NAME = 8, 1
_TO_DIMENSIONS = (2, 1, 2, 1)  # ValueInfoProto.type, .tensor_type, .shape, .dim
_CHANNELS = 1  # of N x C x H x W this one stays


def any_size(model: bytes) -> bytes:
    """The same network with batch, height and width left open, and its weights as constants.

    Raises ValueError if the bytes are no protobuf message.
    """
    return b"".join(_field(_GRAPH, _graph(value)) if n == _GRAPH else raw for n, value, raw in _fields(model))


def _graph(graph: bytes) -> bytes:
    weights = {_name(value, _TENSOR_NAME) for n, value, _ in _fields(graph) if n == _INITIALIZER}
    out = []
    for number, value, raw in _fields(graph):
        if number == _INPUT and _name(value, _VALUE_NAME) in weights:
            continue
        out.append(_field(number, _opened(value, _TO_DIMENSIONS)) if number in (_INPUT, _OUTPUT) else raw)
    return b"".join(out)


def _opened(message: bytes, path: tuple[int, ...]) -> bytes:
    """The message with the dimensions at the end of `path` emptied, but for the channels."""
    out, dimension = [], 0
    for number, value, raw in _fields(message):
        if number != path[0]:
            out.append(raw)
        elif len(path) > 1:
            out.append(_field(number, _opened(value, path[1:])))
        else:
            out.append(raw if dimension == _CHANNELS else _field(number, b""))
            dimension += 1
    return b"".join(out)


def _name(message: bytes, number: int) -> bytes:
    return next((value for n, value, _ in _fields(message) if n == number), b"")


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, content (of length-delimited fields) and raw bytes of each field."""
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        value = b""
        match key & 7:
            case 0:
                _, at = _varint(message, at)
            case 1:
                at += 8
            case 2:
                length, at = _varint(message, at)
                value = message[at : at + length]
                at += length
            case 5:
                at += 4
            case kind:
                raise ValueError(f"no protobuf message: wire type {kind} at byte {start}")
        if at > len(message):
            raise ValueError(f"no protobuf message: the field at byte {start} ends after its message")
        yield key >> 3, value, message[start:at]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError(f"no protobuf message: no number at byte {at}")
        value |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
        if message[at - 1] < 0x80:
            return value, at


def _field(number: int, value: bytes) -> bytes:
    return _number(number << 3 | 2) + _number(len(value)) + value


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
