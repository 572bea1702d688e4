import hashlib
import shutil
from pathlib import Path

import pytest

from edge_agent.domain.errors import ModelRefused
from edge_agent.vision import text_finder, text_reader
from edge_agent.vision.model_file import ModelFile, load, locate, models_folder, read_model_file

FINDER, READER = text_finder.MODEL, text_reader.MODEL


@pytest.fixture
def stated() -> ModelFile:
    return read_model_file(FINDER)


@pytest.mark.parametrize("name", [FINDER, READER])
def test_the_stated_files_are_installed_and_have_a_card(name: str) -> None:
    described = read_model_file(name)
    assert locate(described).stat().st_size == described.source.size
    assert (models_folder() / name / "card.md").is_file()


def test_one_changed_byte_is_refused_with_both_digests(stated: ModelFile, tmp_path: Path) -> None:
    copy = tmp_path / "changed.onnx"
    data = bytearray(locate(stated).read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    with pytest.raises(ModelRefused) as refused:
        load(stated, copy)
    assert str(copy) in refused.value.wrong
    assert stated.source.sha256 in refused.value.wrong
    assert refused.value.wrong.count("SHA-256") == 1
    assert "pip install --no-deps rapidocr==3.10.0" in refused.value.remedy


def test_a_truncated_copy_is_refused_by_name_and_size(stated: ModelFile, tmp_path: Path) -> None:
    copy = tmp_path / "truncated.onnx"
    copy.write_bytes(locate(stated).read_bytes()[:100_000])
    with pytest.raises(ModelRefused, match=r"truncated\.onnx is not the file.*100000 bytes"):
        load(stated, copy)


def test_a_missing_file_is_refused(stated: ModelFile, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"absent\.onnx"):
        load(stated, tmp_path / "absent.onnx")


def test_a_missing_package_is_refused_with_the_remedy(stated: ModelFile) -> None:
    other = stated.model_copy(update={"source": stated.source.model_copy(update={"package": "no_such_package"})})
    with pytest.raises(ModelRefused, match="no_such_package, which is not installed") as refused:
        load(other)
    assert "pip install --no-deps no_such_package==" in refused.value.remedy


def test_a_file_that_is_no_model_is_refused_even_with_the_right_digest(stated: ModelFile, tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_bytes(b"not a model")
    digest = hashlib.sha256(b"not a model").hexdigest()
    other = stated.model_copy(update={"source": stated.source.model_copy(update={"sha256": digest})})
    with pytest.raises(ModelRefused, match="cannot open it"):
        load(other, path)


def test_another_shape_is_refused(stated: ModelFile) -> None:
    other = stated.model_copy(update={"input": stated.input.model_copy(update={"shape": (0, 1, 0, 0)})})
    with pytest.raises(ModelRefused, match="input shape"):
        load(other)


def test_another_alphabet_is_refused() -> None:
    reader = read_model_file(READER)
    assert reader.alphabet is not None
    other = reader.model_copy(update={"alphabet": reader.alphabet.model_copy(update={"sha256": "0" * 64})})
    with pytest.raises(ModelRefused, match="alphabet"):
        load(other)


@pytest.mark.parametrize("text", ["not toml [", 'name = "a"', "\x00"])
def test_a_broken_description_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.toml").write_text(text)
    with pytest.raises(ModelRefused, match=r"model\.toml does not describe a model"):
        read_model_file("m", tmp_path)


def test_a_missing_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="no description of model m"):
        read_model_file("m", tmp_path)


def test_an_additional_key_is_refused(tmp_path: Path) -> None:
    shutil.copytree(models_folder() / FINDER, tmp_path / "m")
    path = tmp_path / "m" / "model.toml"
    path.write_text('surprise = "x"\n' + path.read_text())
    with pytest.raises(ModelRefused, match="surprise"):
        read_model_file("m", tmp_path)
