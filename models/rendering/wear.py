"""What happens between an object and its picture: geometry, dirt, light, the camera, the file.

Every function draws from `rng` only: the same seed gives the same bytes.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.rendering.drawn import Picture, Quad, chance

Field = NDArray[np.float32]
Matrix = NDArray[np.float64]


def warp(
    rng: np.random.Generator, image: Picture, quads: list[Quad], background: Picture, tilt: float = 1.0
) -> tuple[Picture, list[Quad]]:
    """See `image` turned, bent and in perspective over `background`.

    The result has the image's size; `background` (any size) is stretched to it and shows where the object no longer
    covers. The object shrinks as far as it must to stay whole. `quads` move along. `tilt` 0 leaves it frontal, 1 is a
    booth's camera, 2 a badly placed one.
    """
    height, width = image.shape[:2]
    if chance(rng, 0.3 * tilt):
        image, quads = bend(rng, image, quads, 0.02 * tilt * min(height, width))
    corners = tilted(rng, width, height, tilt)
    low, high = corners.min(0), corners.max(0)
    shrink = min(1.0, float(min(width / (high[0] - low[0]), height / (high[1] - low[1]))))
    corners = (corners - (low + high) / 2) * shrink + np.array([width / 2, height / 2])
    corners = corners.astype(np.float32)
    ground: Picture = cv2.resize(background, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    matrix = place(image, corners, ground)
    return ground, [moved(quad, matrix) for quad in quads]


def tilted(rng: np.random.Generator, width: float, height: float, tilt: float) -> Quad:
    """The corners of a width x height object that a camera sees from a side: a quad around (0, 0)."""
    yaw, pitch, roll = rng.normal(0, [0.28 * tilt, 0.16 * tilt, 0.045 * tilt]).clip(-1.0, 1.0)
    shear = rng.normal(0, 0.03 * tilt)
    x = np.array([-0.5, 0.5, 0.5, -0.5]) * width
    y = np.array([-0.5, -0.5, 0.5, 0.5]) * height
    depth = 1 + (x * np.sin(yaw) + y * np.sin(pitch)) / (width * rng.uniform(2.2, 6.0))
    x, y = x * np.cos(yaw) / depth, y * np.cos(pitch) / depth
    x = x + shear * y
    cosine, sine = np.cos(roll), np.sin(roll)
    return np.stack([x * cosine - y * sine, x * sine + y * cosine], 1).astype(np.float32)


def place(image: Picture, corners: Quad, ground: Picture) -> Matrix:
    """Draw `image` into `ground` (changed) with its corners at `corners`; its 3 x 3 homography, image to ground."""
    height, width = image.shape[:2]
    span = max(np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[3]))
    rise = max(np.linalg.norm(corners[3] - corners[0]), np.linalg.norm(corners[2] - corners[1]))
    small_w, small_h = max(2, round(float(span))), max(2, round(float(rise)))
    seen = image
    if small_w < width and small_h < height:  # average first: warping alone would alias
        seen = cv2.resize(image, (small_w, small_h), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    source = rectangle(seen.shape[1], seen.shape[0])
    matrix = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    size = (ground.shape[1], ground.shape[0])
    cv2.warpPerspective(seen, matrix, size, dst=ground, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
    return cv2.getPerspectiveTransform(rectangle(width, height), corners.astype(np.float32)).astype(np.float64)


def rectangle(width: float, height: float) -> Quad:
    """A picture's own four corners, pixels."""
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)


def moved(quad: Quad, matrix: Matrix) -> Quad:
    """`quad` behind a homography."""
    after: Quad = cv2.perspectiveTransform(quad[None].astype(np.float32), matrix)[0].astype(np.float32)
    return after


def bend(rng: np.random.Generator, image: Picture, quads: list[Quad], depth: float) -> tuple[Picture, list[Quad]]:
    """Bend the sheet: points move by at most about `depth` pixels along smooth waves."""
    height, width = image.shape[:2]
    waves = rng.uniform(0.3, 1.2, (2, 2))
    phase = rng.uniform(0, 2 * np.pi, 2)
    strength = rng.normal(0, depth / 2, 2).clip(-depth, depth)

    def shift(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[Field, Field]:
        u, v = x / width * np.pi, y / height * np.pi
        dx = strength[0] * np.sin(waves[0, 0] * u + waves[0, 1] * v + phase[0])
        dy = strength[1] * np.sin(waves[1, 0] * u + waves[1, 1] * v + phase[1])
        return dx.astype(np.float32), dy.astype(np.float32)

    grid_x, grid_y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    coarse_x, coarse_y = np.meshgrid(np.linspace(0, width, 13), np.linspace(0, height, 9))
    dx, dy = (resized(part, (width, height), cv2.INTER_CUBIC) for part in shift(coarse_x, coarse_y))
    bent = cv2.remap(image, grid_x + dx, grid_y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    after = []
    for quad in quads:  # the inverse, to first order: the waves are long against their depth
        dx, dy = shift(quad[:, 0], quad[:, 1])
        after.append((quad - np.stack([dx, dy], 1)).astype(np.float32))
    return bent.astype(np.uint8), after


def wear(rng: np.random.Generator, image: Picture, strength: float) -> Picture:
    """What age, weather, light, the camera and the file make of `image`; same size.

    `strength` 0 is almost nothing, 1 is all. In order: what sits on the object, light, lens, sensor, file.
    """
    picture = image.astype(np.float32)
    soil(rng, picture, strength)
    picture = light(rng, picture, strength)
    picture = lens(rng, picture, strength)
    picture = sensor(rng, picture, strength)
    return file(rng, np.clip(picture, 0, 255).astype(np.uint8), strength)


def cloud(rng: np.random.Generator, height: int, width: int, cells: int) -> Field:
    """Smooth noise, 0-1, with about `cells` blobs along the longer side."""
    longer = max(height, width)
    rows, columns = max(2, round(cells * height / longer) + 1), max(2, round(cells * width / longer) + 1)
    grid = rng.random((rows, columns), np.float32)
    return resized(grid, (width, height), cv2.INTER_CUBIC)


def soil(rng: np.random.Generator, picture: Field, strength: float) -> None:
    """Dirt, mud, rust, scratches and drops, into `picture`."""
    height, width = picture.shape[:2]
    if chance(rng, 0.35 * strength):
        cover = np.clip(cloud(rng, height, width, int(rng.integers(3, 14))) - rng.uniform(0.3, 0.75), 0, 1)
        weight = np.clip(cover * rng.uniform(0.6, 2.2), 0, rng.uniform(0.2, 0.75) * strength)[..., None]
        tint = np.array([70, 85, 100], np.float32) * np.float32(rng.uniform(0.35, 1.6))
        picture += weight * (tint - picture)
    if chance(rng, 0.15 * strength):
        for _ in range(int(rng.integers(1, 4))):
            blot = np.zeros((height, width), np.uint8)
            x, y, size = rng.integers(width), rng.integers(height), max(1.0, rng.uniform(0.02, 0.1) * height)
            cv2.circle(blot, (int(x), int(y)), max(1, int(size)), 255, -1)
            run = (int(x + rng.normal(0, size / 3)), int(y + rng.uniform(0, 0.5) * height))
            cv2.line(blot, (int(x), int(y)), run, 150, max(1, int(size / 1.5)))
            weight = cv2.blur(blot, (3, 3)).astype(np.float32)[..., None] * np.float32(rng.uniform(0.3, 0.8) / 255)
            picture += weight * (np.array([30, 60, 120], np.float32) * np.float32(rng.uniform(0.5, 1.3)) - picture)
    if chance(rng, 0.2 * strength):
        layer = np.zeros((height, width), np.uint8)
        for _ in range(int(rng.integers(1, 9))):
            ends = rng.uniform([-0.1, -0.1], [1.1, 1.1]) * [width, height]
            way = rng.normal(0, 0.2, 2) * width
            start, stop = ends - way, ends + way
            cv2.line(layer, tuple(map(int, start)), tuple(map(int, stop)), int(rng.integers(60, 255)), 1, cv2.LINE_AA)
        weight = layer.astype(np.float32)[..., None] * np.float32(rng.uniform(0.2, 0.7) / 255)
        picture += weight * (np.float32(rng.uniform(20, 240)) - picture)
    if chance(rng, 0.08 * strength):
        layer = np.zeros((height, width), np.uint8)
        for _ in range(int(rng.integers(5, 40))):
            spot = rng.random(2) * [width, height]
            cv2.circle(layer, (int(spot[0]), int(spot[1])), max(1, int(rng.uniform(0.008, 0.04) * height)), 255, -1)
        shine = cv2.blur(layer, (3, 3)).astype(np.float32) - cv2.blur(np.roll(layer, (2, 1), (0, 1)), (3, 3))
        picture += (shine * np.float32(rng.uniform(0.1, 0.4)))[..., None]


def light(rng: np.random.Generator, picture: Field, strength: float) -> Field:
    """Exposure, shadows, headlights, colour casts, night and infrared."""
    height, width = picture.shape[:2]
    if chance(rng, 0.25 * strength):  # an edge of shadow at any angle
        angle = rng.uniform(0, 2 * np.pi)
        x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None] * np.float32(np.cos(angle) * width / height)
        y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
        soft = np.float32(10 ** rng.uniform(0.3, 2))
        shade = 1 / (1 + np.exp(-np.clip((x + y + np.float32(rng.normal(0, 0.3))) * soft, -30, 30)))
        picture = picture * (1 - shade * np.float32(rng.uniform(0.2, 0.7)))[..., None]
    if chance(rng, 0.3 * strength):  # uneven light
        slope = cloud(rng, height, width, 2) * np.float32(rng.uniform(0.2, 0.8)) + np.float32(0.55)
        picture = picture * slope[..., None]
    night = chance(rng, 0.22 * strength)
    if night and chance(rng, 0.55):
        picture = infrared(rng, picture)
    elif night:
        picture = picture * np.float32(rng.uniform(0.25, 0.8)) * rng.uniform(0.65, 1.15, 3).astype(np.float32)
        if chance(rng, 0.4):  # sodium lamps and tail lights
            picture = picture * np.array([rng.uniform(0.5, 1), rng.uniform(0.5, 0.9), 1.2], np.float32)
    elif chance(rng, 0.6):
        picture = picture * rng.normal(1, 0.07 * strength, 3).astype(np.float32)
    if chance(rng, 0.12):
        weights = rng.dirichlet([2, 3, 3]).astype(np.float32)
        picture = np.repeat((picture @ weights)[..., None], 3, 2)
    elif chance(rng, 0.4):  # paler or more saturated
        grey = picture.mean(2, keepdims=True)
        picture = grey + (picture - grey) * np.float32(rng.uniform(0.3, 1.3))
    gain = np.exp(rng.normal(0, 0.25 * strength)) * (rng.uniform(1.3, 2.2) if chance(rng, 0.1 * strength) else 1)
    floor = max(0.0, rng.normal(0, 18 * strength))
    picture = floor + np.clip(picture, 0, None) * np.float32(gain * (1 - floor / 400))
    if chance(rng, 0.4):
        gamma = np.float32(np.exp(rng.normal(0, 0.3 * strength)))
        picture = np.power(np.clip(picture, 0, 400) / 255, gamma, dtype=np.float32) * 255
    if chance(rng, 0.1 * strength):  # a lamp or the sun in the sheet
        x, y = rng.uniform(-0.2, 1.2) * width, rng.uniform(-0.3, 1.2) * height
        radius = rng.uniform(0.15, 0.9) * height
        across = (np.arange(width, dtype=np.float32)[None] - np.float32(x)) ** 2
        down = (np.arange(height, dtype=np.float32)[:, None] - np.float32(y)) ** 2
        spot = np.exp(-(across + down) / np.float32(2 * radius**2))
        picture = picture + (spot * np.float32(rng.uniform(60, 260)))[..., None]
    if chance(rng, 0.15 * strength):  # haze: contrast lost towards one grey
        keep = np.float32(rng.uniform(0.25, 0.8))
        picture = picture * keep + (1 - keep) * np.float32(rng.uniform(40, 220))
    return picture.astype(np.float32)


def infrared(rng: np.random.Generator, picture: Field) -> Field:
    """A lamp beside the camera: the sheeting returns it, some inks are transparent to it, the picture is grey."""
    weights = rng.dirichlet([0.5, 1, 3]).astype(np.float32)  # inks that absorb little red nearly vanish
    grey = picture @ weights
    low, high = np.float32(rng.uniform(0, 60)), np.float32(rng.uniform(150, 330))
    grey = low + grey / 255 * (high - low)
    if chance(rng, 0.12):
        grey = 255 - grey
    return np.repeat(grey[..., None], 3, 2).astype(np.float32)


def lens(rng: np.random.Generator, picture: Field, strength: float) -> Field:
    """Motion, defocus and low resolution; kernels in share of the picture's height."""
    height, width = picture.shape[:2]
    if chance(rng, 0.35 * strength):  # fewer pixels behind the same view
        scale = rng.uniform(min(1.0, max(64 / width, 0.3)), 1.0)  # a plate keeps 64 pixels of width
        small = (max(4, round(width * scale)), max(4, round(height * scale)))
        down = cv2.INTER_AREA if chance(rng, 0.6) else cv2.INTER_LINEAR
        up = cv2.INTER_CUBIC if chance(rng, 0.5) else cv2.INTER_LINEAR
        picture = resized(resized(picture, small, down), (width, height), up)
    if chance(rng, 0.45 * strength):
        sigma = abs(rng.normal(0, 0.014 * strength)) * height
        if sigma > 0.2:
            picture = cv2.GaussianBlur(picture, (0, 0), sigma).astype(np.float32, copy=False)
    if chance(rng, 0.25 * strength):
        length = int(min(31, abs(rng.normal(0, 0.05 * strength)) * height)) | 1
        if length >= 3:
            kernel = streak(length, rng.normal(0, 0.4) + (np.pi / 2) * (rng.random() < 0.3))
            picture = cv2.filter2D(picture, -1, kernel).astype(np.float32, copy=False)
    if chance(rng, 0.25):  # the camera's own sharpening
        amount = rng.uniform(0.2, 1.4)
        soft = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.7, 1.8))
        picture = picture + (picture - soft) * np.float32(amount)
    return picture.astype(np.float32, copy=False)


def resized(picture: Field, size: tuple[int, int], interpolation: int) -> Field:
    """`picture` at (width, height)."""
    return cv2.resize(picture, size, interpolation=interpolation).astype(np.float32, copy=False)


def streak(length: int, angle: float) -> Field:
    """The kernel of a straight move of `length` pixels at `angle` radians; sums to one."""
    kernel = np.zeros((length, length), np.float32)
    middle = (length - 1) / 2
    way = np.array([np.cos(angle), np.sin(angle)]) * middle
    ends = np.round([middle - way, middle + way]).astype(int)
    cv2.line(kernel, tuple(map(int, ends[0])), tuple(map(int, ends[1])), 1.0, 1, cv2.LINE_AA)
    total = np.float32(kernel.sum())
    return kernel / total


def sensor(rng: np.random.Generator, picture: Field, strength: float) -> Field:
    """Noise (0-255 units, one standard deviation up to about 18) and interlaced rows."""
    height, width = picture.shape[:2]
    if chance(rng, 0.6 * strength):
        sigma = np.float32(abs(rng.normal(0, 8 * strength)))
        channels = 1 if chance(rng, 0.5) else 3
        noise = rng.standard_normal((height, width, channels), np.float32) * sigma
        if chance(rng, 0.4):
            noise = cv2.blur(noise, (2, 2)).reshape(height, width, channels) * np.float32(1.7)
        picture = picture + noise
    if chance(rng, 0.02 * strength) and height > 24:
        comb = int(rng.integers(1, 4))
        picture[1::2] = np.roll(picture[1::2], comb, 1)
    return picture


def file(rng: np.random.Generator, picture: Picture, strength: float) -> Picture:
    """What a JPEG coder leaves of it."""
    if not chance(rng, 0.7):
        return picture
    quality = int(np.clip(95 - abs(rng.normal(0, 28 * strength)), 12, 95))
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
