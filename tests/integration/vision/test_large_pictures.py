"""Pictures of 100 million pixels and more through `edge-agent read` and through a camera: named, quick, and bounded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from edge_agent.vision.frame import Image
from tests.integration.vision.rendering import noisy, picture, plate

SIDE = 10_000
ROW = 16  # pixels: a row of the blocks of which a JPEG with halved colours is made
# What Python, OpenCV, ONNX Runtime and the models take is some 150 MB; a picture of 100 million pixels is 300 MB, and
# the decoder needs as much again.
READ_MAX, REFUSED_MAX = 900, 300  # MB


def tall_jpeg(image: Image, height: int) -> bytes:
    """The picture with its first row of blocks repeated below it up to `height`, without encoding all that.

    ITU-T T.81, E.1.4: coding begins anew after each restart marker, so that coded rows can be put together.
    """
    blocks = -(-image.shape[1] // ROW)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_RST_INTERVAL, blocks])[1].tobytes()
    start = data.index(b"\xff\xda") + 14
    head, coded = bytearray(data[:start]), data[start:-2]
    at = head.index(b"\xff\xc0")
    head[at + 5 : at + 7] = height.to_bytes(2, "big")
    rows, begin = [], 0
    for n in range(image.shape[0] // ROW - 1):
        end = coded.index(bytes([0xFF, 0xD0 + n % 8]), begin)
        rows.append(coded[begin:end])
        begin = end + 2
    rows += [coded[begin:]]
    rows += [rows[0]] * (height // ROW - len(rows))
    joined = b"".join(row + bytes([0xFF, 0xD0 + n % 8]) for n, row in enumerate(rows))
    return bytes(head) + joined[:-2] + b"\xff\xd9"


def large_plate() -> Image:
    """10,000 pixels wide, with a plate as wide as in a photo."""
    return np.asarray(cv2.resize(noisy(plate("7KLM 223", y=30), 1)[:140], (SIDE, 1456)), np.uint8)


def bare(width: int = 320, height: int = 240) -> Image:
    return noisy(picture(width=width, height=height), 1)


# The peak of this process alone: what the system says of a child counts its parent's, too (proc(5), VmHWM).
PEAK = """
import atexit, pathlib
atexit.register(lambda: print(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]))
"""
READ = "import sys; from edge_agent.cli import main; sys.exit(main(sys.argv[1:]))"


def run(script: str, *arguments: str) -> tuple[str, float]:
    """What a process of its own says, and the largest memory that it held, in MB."""
    environment = {**os.environ, "OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
    command = [sys.executable, "-c", PEAK + script, *arguments]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False).stdout
    said, _, kilobytes = out.rstrip().rpartition("\n")
    return said, int(kilobytes) / 1024


def read(folder: Path, *names: str) -> tuple[dict[str, dict[str, object]], float]:
    said, megabytes = run(READ, "read", "--json", "--models", "own", *(str(folder / name) for name in names))
    answers = [json.loads(line) for line in said.splitlines()]
    return {Path(str(a["path"])).name: a for a in answers}, megabytes


def test_a_hundred_million_pixels_are_read_or_named(tmp_path: Path) -> None:
    (tmp_path / "plate.jpg").write_bytes(tall_jpeg(large_plate(), SIDE))
    Pillow.new("1", (SIDE, SIDE), 1).save(tmp_path / "white.png")
    answers, megabytes = read(tmp_path, "plate.jpg", "white.png")
    assert [p["text"] for p in answers["plate.jpg"]["plates"]] == ["7KLM223"]  # type: ignore[attr-defined]
    assert "white all over" in str(answers["white.png"]["error"])
    assert megabytes < READ_MAX


def test_more_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Pillow.new("1", (SIDE, SIDE + 1)).save(tmp_path / "large.png")
    (tmp_path / "large.jpg").write_bytes(tall_jpeg(bare(SIDE, 32), SIDE + ROW))
    (tmp_path / "large.mjpeg").write_bytes(2 * tall_jpeg(bare(SIDE, 32), SIDE))
    files = sorted(p.name for p in tmp_path.iterdir())
    answers, megabytes = read(tmp_path, *files)
    assert {name: str(a["error"]).partition("pixels")[2] for name, a in answers.items()} == {
        name: ", more than 50 million" if name.endswith("mjpeg") else ", more than 100 million" for name in files
    }
    assert megabytes < REFUSED_MAX


DECODE = """
import sys
from edge_agent.cli import main
main(["check", "absent.yaml"])
import cv2
try:
    cv2.imread(sys.argv[1])
except cv2.error as error:
    print(error.err)
"""


def test_a_header_that_was_misread_is_not_decoded_either(tmp_path: Path) -> None:
    (tmp_path / "large.pgm").write_bytes(b"P5 %d %d 255\n" % (SIDE, SIDE + 1))
    said, megabytes = run(DECODE, str(tmp_path / "large.pgm"))
    assert "CV_IO_MAX_IMAGE_PIXELS" in said
    assert megabytes < REFUSED_MAX


CAMERA = """
import sys, time
from edge_agent.domain.clock import SystemClock
from edge_agent.vision.camera import Camera
from edge_agent.vision.camera_settings import CameraSettings
camera = Camera("north", CameraSettings(source=sys.argv[1], retry_max_s=0.1, playback_fps=100), SystemClock())
camera.start()
end, shapes, said = time.monotonic() + 60, set(), []
while time.monotonic() < end and not any(change.state.value == "offline" for change in said):
    said += camera.changes()
    frame = camera.take()
    if frame is not None:
        shapes.add(frame.image.shape)
    time.sleep(0.005)
camera.stop()
print(sorted(shapes), *(change.detail for change in said), sep="\\n")
"""


def test_a_camera_with_too_large_pictures_is_offline_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "camera.mjpeg"
    path.write_bytes(2 * tall_jpeg(bare(SIDE, 32), SIDE))
    said, megabytes = run(CAMERA, str(path))
    assert f"{path} sends pictures of 10000 × 10000 pixels, more than 50 million" in said
    assert said.startswith("[]")
    assert megabytes < REFUSED_MAX


def test_a_picture_that_is_suddenly_huge_is_not_handed_on_as_such(tmp_path: Path) -> None:
    path = tmp_path / "camera.mjpeg"
    usual = cv2.imencode(".jpg", bare())[1].tobytes()
    path.write_bytes(3 * usual + tall_jpeg(bare(SIDE, 32), SIDE) + 3 * usual)
    said, megabytes = run(CAMERA, str(path))
    assert said.startswith("[(240, 320, 3)]\n")
    assert "played to its end" in said
    assert megabytes < READ_MAX
