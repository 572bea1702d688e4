"""Writes small ONNX files, so that a test can run a model of which it knows every number.

Field numbers are those of onnx.proto3 (ONNX IR version 8).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Attribute = int | float | str | list[int]
FLOAT, INT64 = 1, 7
OPSET = 17


def node(operator: str, inputs: Sequence[str], output: str, **attributes: Attribute) -> bytes:
    """A NodeProto with one output."""
    fields = b"".join(_text(1, name) for name in inputs) + _text(2, output) + _text(4, operator)
    return fields + b"".join(_bytes(5, _attribute(name, value)) for name, value in attributes.items())


@dataclass
class OnnxFile:
    """A graph of one float input and one float output; a name stands for a size that may be any."""

    input: tuple[str, tuple[int | str, ...]]
    output: tuple[str, tuple[int | str, ...]]
    nodes: Sequence[bytes]
    constants: Mapping[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    def data(self) -> bytes:
        """The file's bytes, a ModelProto."""
        graph = b"".join(_bytes(1, n) for n in self.nodes) + _text(2, "graph")
        graph += b"".join(_bytes(5, _tensor(name, value)) for name, value in self.constants.items())
        graph += _bytes(11, _value(*self.input)) + _bytes(12, _value(*self.output))
        entries = b"".join(_bytes(14, _text(1, key) + _text(2, value)) for key, value in self.metadata.items())
        return _number(1, 8) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, OPSET)) + entries


def _attribute(name: str, value: Attribute) -> bytes:
    match value:
        case int():
            return _text(1, name) + _number(3, value) + _number(20, 2)
        case float():
            return _text(1, name) + b"\x15" + np.float32(value).tobytes() + _number(20, 1)
        case str():
            return _text(1, name) + _text(4, value) + _number(20, 3)
        case list():
            return _text(1, name) + b"".join(_number(8, v) for v in value) + _number(20, 7)


def _tensor(name: str, value: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> bytes:
    kind = FLOAT if value.dtype == np.float32 else INT64
    return b"".join(_number(1, d) for d in value.shape) + _number(2, kind) + _text(8, name) + _bytes(9, value.tobytes())


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(_bytes(1, _number(1, s) if isinstance(s, int) else _text(2, s)) for s in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, sizes)))


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(tag: int, value: int) -> bytes:
    return _varint(tag << 3) + _varint(value)


def _bytes(tag: int, value: bytes) -> bytes:
    return _varint(tag << 3 | 2) + _varint(len(value)) + value


def _text(tag: int, value: str) -> bytes:
    return _bytes(tag, value.encode())
