"""The statement of sizes taken out of an ONNX file, checked on the packaged face finder and on bad bytes."""

import onnxruntime
import pytest

from edge_agent.vision.model_file import locate, read_model_file
from edge_agent.vision.onnx_sizes import any_size


def _ends(model: bytes) -> tuple[list[tuple[str, list[int | str | None]]], list[tuple[str, list[int | str | None]]]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [(i.name, i.shape) for i in session.get_inputs()], [(o.name, o.shape) for o in session.get_outputs()]


def test_sizes_are_open_channels_stay_and_weights_are_no_inputs() -> None:
    model = locate(read_model_file("faces_centerface")).read_bytes()
    assert _ends(model)[0] == [("input.1", [10, 3, 32, 32])]
    inputs, outputs = _ends(any_size(model))
    assert inputs == [("input.1", [None, 3, None, None])]
    assert outputs == [(name, [None, n, None, None]) for name, n in (("537", 1), ("538", 2), ("539", 2), ("540", 10))]
    assert len(any_size(model)) < len(model)


@pytest.mark.parametrize("bad", [b"\x3a\x05abc", b"\x0f", b"\xff" * 12, b"\x3a", b"\x09abc", b"\x3a\x02\x62\x05"])
def test_what_is_no_message_is_an_error(bad: bytes) -> None:
    with pytest.raises(ValueError, match="no protobuf message"):
        any_size(bad)


def test_nothing_else_changes() -> None:
    message = b"\x08\x96\x01\x11abcdefgh\x1d1234\x22\x03abc"
    assert any_size(message) == message
