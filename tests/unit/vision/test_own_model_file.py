"""A weights file that lies in its model's own folder."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from edge_agent.domain.errors import ModelRefused
from edge_agent.vision.model_file import open_model
from tests.unit.vision.onnx_file import OnnxFile, node

DESCRIPTION = """
name = "doubler"
title = "doubles every number"
{source}
[licence]
spdx = "Apache-2.0"
holder = "nobody"
[input]
name = "{input}"
shape = {shape}
[output]
shape = [0, 2]
{alphabet}
"""
ALPHABET = '[alphabet]\nmetadata_key = "character"\ncharacters = {}\nsha256 = "{}"'


def doubler(characters: str = "A\nB") -> bytes:
    nodes = [node("Mul", ["x", "two"], "y")]
    two = {"two": np.array([2], np.float32)}
    return OnnxFile(("x", ("N", 2)), ("y", ("N", 2)), nodes, two, {"character": characters}).data()


def describe(
    folder: Path,
    data: bytes,
    path: str = "doubler.onnx",
    package: str = "",
    name: str = "doubler",
    input_name: str = "x",
    shape: str = "[0, 2]",
    alphabet: str = "",
) -> Path:
    (folder / name).mkdir()
    (folder / name / "doubler.onnx").write_bytes(data)
    source = f'[source]\npath = "{path}"\nsize = {len(data)}\nsha256 = "{hashlib.sha256(data).hexdigest()}"\n{package}'
    text = DESCRIPTION.format(source=source, input=input_name, shape=shape, alphabet=alphabet)
    (folder / name / "model.toml").write_text(text)
    return folder


def test_a_file_beside_its_description_runs(tmp_path: Path) -> None:
    model = open_model("doubler", folder=describe(tmp_path, doubler()))
    assert model.run(np.array([[1, 3]], np.float32)).tolist() == [[2, 6]]


def test_its_alphabet_comes_with_it(tmp_path: Path) -> None:
    stated = ALPHABET.format(2, hashlib.sha256(b"A\nB").hexdigest())
    assert open_model("doubler", folder=describe(tmp_path, doubler(), alphabet=stated)).alphabet == ("A", "B")


def test_one_changed_byte_is_refused_with_both_digests_and_what_to_do(tmp_path: Path) -> None:
    data = doubler()
    folder = describe(tmp_path, data)
    changed = bytearray(data)
    changed[-1] ^= 1
    (folder / "doubler" / "doubler.onnx").write_bytes(changed)
    with pytest.raises(ModelRefused) as refused:
        open_model("doubler", folder=folder)
    assert "doubler.onnx" in refused.value.wrong
    assert hashlib.sha256(data).hexdigest() in refused.value.wrong
    assert hashlib.sha256(changed).hexdigest() in refused.value.wrong
    assert "restore the file" in refused.value.remedy


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    folder = describe(tmp_path, doubler())
    (folder / "doubler" / "doubler.onnx").unlink()
    with pytest.raises(ModelRefused, match=r"model doubler cannot be read.*doubler\.onnx"):
        open_model("doubler", folder=folder)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"shape": "[0, 3]"}, r"doubler\.onnx: input shape is .*stated \(0, 3\)"),
        ({"input_name": "z"}, r"doubler\.onnx: input is called 'x', stated 'z'"),
        ({"alphabet": ALPHABET.format(3, hashlib.sha256(b"A\nB").hexdigest())}, "alphabet is not the one"),
        ({"alphabet": ALPHABET.format(2, "0" * 64)}, "alphabet is not the one"),
        ({"path": "../doubler.onnx"}, "leads out of the folder"),
        ({"path": "/doubler.onnx"}, "leads out of the folder"),
        ({"package": 'package = "rapidocr"'}, "`package` and `version` come together"),
        ({"package": 'version = "1.0"'}, "`package` and `version` come together"),
    ],
)
def test_what_the_description_does_not_state_is_refused(tmp_path: Path, changes: dict[str, str], why: str) -> None:
    with pytest.raises(ModelRefused, match=why):
        open_model("doubler", folder=describe(tmp_path, doubler(), **changes))


def test_a_description_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="describes the model doubler, not other"):
        open_model("other", folder=describe(tmp_path, doubler(), name="other"))


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"doubler\.onnx: ONNX Runtime cannot open it"):
        open_model("doubler", folder=describe(tmp_path, b"no model"))
