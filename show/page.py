"""The page to draw on: what it asks a network for.

The page is show/web/page.html; what it asks for, and what it gets (JSON):

    GET  /start     names of the classes, sizes of the network, digits to try ...
    GET  /unit      ?number=17: weights and bias of unit 17 of the first layer
    POST /ink       140 x 140 bytes, 0 paper and 255 ink   -> readings of its digits
    POST /picture   28 x 28 bytes, in MNIST's form         -> readings of it
    POST /why       ?digit=3&rival=2, 28 x 28 bytes        -> Z[3] - Z[2] part by part
    POST /change    ?goal=8, 28 x 28 bytes                 -> few pixels to change

A reading is a picture as the network sees it, the first layer's sums, the activations
of the hidden layers, logits and outputs.  `?damage=noise` gets seven readings of each
digit, from the whole picture to the most damaged one; `?off=0-17,0-3` is for all: units
17 and 3 of the first hidden layer are switched off.
"""
from __future__ import annotations

import base64
import math
import random
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Sequence

import data_loader
from engine.sparse import SparseMatrix
from errors import DataError
from learning.augment import gather, shift_map
from learning.models import Model, quantized
from my_math import Matrix
from network import LOSSES
from pictures.digit import digits_in
from pictures.normalize import SIZE, normalised
from show.server import Question, Refusal, Server
from show.text import perhaps
from show.why import compare, fewest_changes

if TYPE_CHECKING:
    from show.watch import RunPage

INK_SIZE = 140                # pixels of the drawing each way
PIXELS = SIZE * SIZE
STEPS = 6                     # how many times a damage can be made worse

_PAGE = Path(__file__).parent / "web" / "page.html"
_DIGITS = list("0123456789")


# --- Damage: step 0 leaves a picture as it is, each further step makes it worse

@lru_cache(maxsize=None)
def _mover(down: int, right: int) -> Callable[[bytes], bytes]:
    return gather(shift_map(SIZE, SIZE, down, right))


def shifted(picture: bytes, step: int) -> bytes:
    """Return the picture moved `step` pixels to the right."""
    return _mover(down=0, right=step)(picture)


def noisy(picture: bytes, step: int) -> bytes:
    """Turn 2 % of the pixels a step into ink: the same ones in every picture."""
    rng, noise = random.Random(28), bytearray(picture)
    places = sorted(range(PIXELS), key=lambda place: rng.random())
    for place in places[:step * PIXELS // 50]:
        noise[place] = 255
    return bytes(noise)


def _eroded(picture: bytes) -> bytes:
    """Make each pixel the least of itself and its neighbours on four sides."""
    neighbours = [_mover(down, right)(picture)
                  for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    return bytes(map(min, picture, *neighbours))


def thinned(picture: bytes, step: int) -> bytes:
    """Take a third of a pixel off each side of the lines with every step.

    A whole pixel is lost where each pixel becomes the least of itself and its four
    neighbours (erosion, by a cross); a third of one, where it goes a third of the way.
    """
    for _ in range(step // 3):
        picture = _eroded(picture)
    third = step % 3
    return bytes((old * (3 - third) + new * third) // 3
                 for old, new in zip(picture, _eroded(picture))) if third else picture


@lru_cache(maxsize=None)
def _turner(degrees: int) -> Callable[[bytes], bytes]:
    """Return a function that gives each pixel the one nearest to where it came from."""
    middle = (SIZE - 1) / 2
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    sources = []
    for row in range(SIZE):
        for column in range(SIZE):
            x, y = column - middle, row - middle
            j = math.floor(cosine * x + sine * y + middle + 0.5)
            i = math.floor(-sine * x + cosine * y + middle + 0.5)
            inside = 0 <= i < SIZE and 0 <= j < SIZE
            sources.append(i * SIZE + j if inside else PIXELS)
    return gather(sources)


def turned(picture: bytes, step: int) -> bytes:
    """Return the picture turned about its middle, 10 degrees clockwise a step."""
    return _turner(10 * step)(picture)


DAMAGES: dict[str, Callable[[bytes, int], bytes]] = {
    "shift": shifted, "noise": noisy, "thin": thinned, "turn": turned}


# --- What the page asks for, as objects that JSON can write

def pictures_in(ink: bytes, names: Sequence[str]) -> tuple[str, list[bytes]]:
    """Return (remark, pictures) of the digits in a drawing, found as in a picture file.

    Where there is none, the remark says what is there instead, and the network has to
    answer to all of the ink.  Classes with other names get all of the ink, too.
    """
    rows = [ink[start:start + INK_SIZE] for start in range(0, len(ink), INK_SIZE)]
    remark, pictures = "", []
    if list(names) == _DIGITS and any(ink):
        try:
            pictures = digits_in(rows).digits
        except DataError as error:
            remark = error.found
    return remark, pictures or [normalised(rows)]


def as_text(content: bytes) -> str:
    """Return bytes as JSON can carry them: base64."""
    return base64.b64encode(content).decode("ascii")


def _first_of_each_class(names: Sequence[str]) -> list[dict]:
    """The shipped sample's first image of each class; [] where its classes differ."""
    sample, = data_loader.load(data_loader.SAMPLE_FOLDER, ("t10k",))
    if sample.class_names != names:
        return []
    return [{"name": name, "picture": as_text(sample.image(sample.labels.index(k)))}
            for k, name in enumerate(names)]


class Reader:
    """Reads pictures for the page with one model.

    `is_replayed` says that there is a page of how it learnt, too.
    """

    def __init__(self, model: Model, is_replayed: bool = False) -> None:
        self._network, self._levels = model.network, model.levels
        self._names, self._is_replayed = list(model.names), is_replayed
        self._units = self._network.layers[0].weights.to_matrix().T     # (h x d)
        self._samples = _first_of_each_class(self._names)

    @property
    def questions(self) -> dict[str, Question]:
        """The questions of the page, by path."""
        return {"/start": Question(self.start),
                "/unit": Question(self.unit, ("number",)),
                "/ink": Question(self.ink, ("damage", "off"), INK_SIZE ** 2),
                "/picture": Question(self.picture, ("damage", "off"), PIXELS),
                "/why": Question(self.why, ("digit", "rival", "off"), PIXELS),
                "/change": Question(self.change, ("goal", "off"), PIXELS)}

    def start(self) -> dict:
        """Return what the page must know before anything is drawn."""
        network = self._network
        onward = list(network.layers[-1].weights.to_matrix())       # (h x c)
        return {"class_names": self._names, "sizes": network.sizes,
                "activation": network.activation, "loss": network.loss,
                "levels": self._levels, "damages": list(DAMAGES), "steps": STEPS,
                "samples": self._samples, "bias": self._bias(-1),
                "replayed": self._is_replayed,
                "onward": onward if len(network.layers) > 1 else []}

    def unit(self, number: str) -> dict:
        """Return the 784 weights and the bias of a unit of the first layer."""
        k = self._number(number, self._units.shape[0], "number")
        return {"weights": self._units[k], "bias": self._bias(0)[k]}

    def ink(self, content: bytes, damage: str, off: str) -> dict:
        """Return the readings of the digits in a drawing."""
        remark, pictures = pictures_in(content, self._names)
        return {"remark": remark, "digits": [self._readings(picture, damage, off)
                                             for picture in pictures]}

    def picture(self, content: bytes, damage: str, off: str) -> dict:
        """Return the readings of a picture in MNIST's form."""
        return {"remark": "", "digits": [self._readings(content, damage, off)]}

    def why(self, content: bytes, digit: str, rival: str, off: str) -> dict:
        """Return the parts of the difference of two logits, and all logits."""
        count = len(self._names)
        pair = self._number(digit, count, "digit"), self._number(rival, count, "rival")
        x = SparseMatrix.from_images([content], self._levels)
        why = compare(self._network, x, *pair, self._masks(off))
        return {"digit": pair[0], "rival": pair[1], **why._asdict()}

    def change(self, content: bytes, goal: str, off: str) -> dict:
        """Return [pixel, new grey] of few changes that make it another class."""
        wanted = self._number(goal, len(self._names), "goal") if goal else None
        picture = quantized(content, self._levels)
        return {"pixels": fewest_changes(self._network, picture, wanted,
                                         self._masks(off))}

    # --- parts of the answers

    def _readings(self, picture: bytes, damage: str, off: str) -> list[dict]:
        """The reading of a picture, or of all steps of a damage, in one batch."""
        if damage and damage not in DAMAGES:
            raise Refusal(400, f"expected ?damage= and one of {', '.join(DAMAGES)}")
        steps = range(STEPS + 1) if damage else ()
        pictures = [DAMAGES[damage](picture, step) for step in steps] or [picture]
        x = SparseMatrix.from_images(pictures, self._levels)            # (m x d)
        trace = self._network.forward(x, self._masks(off))
        outputs = LOSSES[self._network.loss].outputs(trace.logits)      # (m x c)
        readings = []
        for i, (row, output) in enumerate(zip(x.to_matrix(), outputs)):
            readings.append({
                "picture": as_text(bytes(round(255 * grey) for grey in row)),
                "sums": trace.sums[0][i], "hidden": [a[i] for a in trace.inputs[1:]],
                "logits": trace.logits[i], "outputs": output,
                "perhaps": perhaps(output)})
        return readings

    def _bias(self, layer: int) -> list[float]:
        return self._network.layers[layer].bias.to_matrix()[0]

    def _masks(self, off: str) -> list[Matrix]:
        """A mask (1 x h) for each hidden layer: 0 for a unit that is switched off."""
        if not off:
            return []
        hidden = self._network.sizes[1:-1]
        masks = [[1.0] * count for count in hidden]
        for name in off.split(","):
            layer, _, unit = name.partition("-")
            layer = self._number(layer, len(hidden), "off")
            masks[layer][self._number(unit, hidden[layer], "off")] = 0.0
        return [Matrix([mask]) for mask in masks]

    @staticmethod
    def _number(text: str, count: int, field: str) -> int:
        """A number from 0 to count - 1 out of a query."""
        if not re.fullmatch("[0-9]{1,6}", text) or int(text) >= count:
            raise Refusal(404, f"{field}: expected a number from 0 to {count - 1}")
        return int(text)


def make_server(model: Model, port: int = 0, run: RunPage | None = None) -> Server:
    """Return a server of the page that listens already; port 0 takes a free one.

    `run` is the page of how the model learnt, if there is one.  Raises OSError where
    the port cannot be had.
    """
    pages = {"/": _PAGE, **({"/learning": run.path} if run else {})}
    questions = Reader(model, is_replayed=run is not None).questions
    return Server(pages, {**questions, **(run.questions if run else {})}, port)
