"""The page to watch a run on, while the network learns and afterwards.

The page is show/web/watch.html; what it asks for, and what it gets (JSON):

    GET  /run       names of the classes, sizes of the network, data ...
    GET  /now       ?version=7: how far the run is; if that is no longer the version,
                    history and moments too
    GET  /tiles     ?moment=1-0: weights of the first layer after epoch 1, image 0
    GET  /wrong     ?moment=1-0: test images that were classified wrongly
    POST /answers   140 x 140 bytes, 0 paper and 255 ink -> outputs at each moment

The training process serves it from a thread.  So what a question costs is taken off the
speed of the training: there is little to work out, and nothing that changes a number.
"""
from __future__ import annotations

import sys
import threading
import time
from operator import add
from pathlib import Path
from typing import Any

from data_loader import Dataset
from engine.sparse import SparseMatrix
from errors import OptionError
from learning.checkpoint import MODEL, History, Row
from learning.moments import (MARKS, MOMENTS, Moment, Recording, about_run, add_moment,
                              is_milestone, load_recording, measured, save_recording,
                              unpack)
from learning.models import Model
from learning.settings import Settings
from learning.training import Parts, Progress
from network import Evaluation, Network
from pictures.normalize import SIZE
from show.page import INK_SIZE, as_text, pictures_in
from show.runs import Printer
from show.server import Question, Refusal, Server

SHOWN_ERRORS = 24       # images of a moment that were classified wrongly
_BETWEEN_MOMENTS = 3.0  # seconds, as between two looks of the page; one takes 12 ms
_MOST_POINTS = 400      # of a curve within epochs; more of them are joined in pairs
_POINT = 500            # images of a point of a curve: it is off by 2 % or so


class RunPage:
    """The page of a run, and the answers to its questions."""

    path = Path(__file__).parent / "web" / "watch.html"

    def __init__(self, recording: Recording, images: Dataset | None = None) -> None:
        """`images` are those of the evaluations; None where a run is replayed."""
        self.recording, self._images = recording, images
        self._status = {"live": bool(images), "text": "", "part": float(not images)}
        self._began, self._seconds = time.monotonic(), None     # None: they still pass
        if not images:
            self._seconds = sum(seconds for *_, seconds in recording.history)
        self._points: list[list[float]] = []
        self._recent = 0, 0.0, 0        # images, loss, correct: of the next point
        self._version = 0
        self._errors: dict[tuple[int, int], list[dict[str, Any]]] = {}
        self._networks: dict[tuple[int, int], Network] = {}

    @property
    def questions(self) -> dict[str, Question]:
        """The questions of the page, by path."""
        return {"/run": Question(self.run),
                "/now": Question(self.now, ("version",)),
                "/tiles": Question(self.tiles, ("moment",)),
                "/wrong": Question(self.wrong, ("moment",)),
                "/answers": Question(self.answers, (), INK_SIZE ** 2)}

    # --- what the page asks for

    def run(self) -> dict:
        """Return what does not change during the run."""
        recording = self.recording
        return {**recording.about, "images": recording.images,
                "epochs": recording.epochs, "evaluated_on": recording.evaluated_on,
                "replayed": self._images is None}

    def now(self, version: str) -> dict:
        """Return how far the run is; epochs and moments where a version lacks them."""
        new, recording = self._version, self.recording      # in this order
        seconds = self._seconds
        if seconds is None:
            seconds = time.monotonic() - self._began
        found = {**self._status, "version": new, "points": self._points,
                 "seconds": round(seconds, 1)}
        if version != str(new):
            found["history"] = [[round(x, 5) for x in row] for row in recording.history]
            found["moments"] = [{
                "key": _key(moment), "name": moment.name, "epoch": moment.epoch,
                "images": moment.images, "correct": moment.correct,
                "counts": moment.counts} for moment in recording.moments]
        return found

    def tiles(self, moment: str) -> dict:
        """Return the weights of the first layer (d x h): 2 bytes each, in 1/128."""
        height, width, *_ = self.recording.about["sizes"]
        return {"weights": as_text(self._moment(moment).numbers[:2 * height * width])}

    def wrong(self, moment: str) -> dict:
        """Return the most confident errors at a moment; none at those of an earlier
        process, as images are not kept."""
        errors = self._errors.get(self._moment(moment)[:2], [])
        return {"images": [{**error, "picture": as_text(self._images.image(
            error["index"]))} for error in errors]}

    def answers(self, content: bytes) -> dict:
        """Return the outputs at each moment for a drawing, or for its first digit."""
        about, moments = self.recording.about, self.recording.moments
        remark, pictures = pictures_in(content, about["class_names"])
        x = SparseMatrix.from_images(pictures[:1], about["grey_levels"])
        before = self._networks
        self._networks = {moment[:2]: before.get(moment[:2]) or unpack(
            moment.numbers, about["sizes"], about["activation"], about["loss"])
            for moment in moments}
        return {"remark": remark, "digits": len(pictures), "outputs": {
            _key(moment): network.predict(x)[0]
            for moment, network in zip(moments, self._networks.values())}}

    def _moment(self, key: str) -> Moment:
        """Return a moment by its key."""
        for moment in self.recording.moments:
            if _key(moment) == key:
                return moment
        raise Refusal(404, "there is no such moment")

    # --- what the run tells: what questions look at meanwhile is replaced, not changed

    def tell(self, text: str) -> None:
        """Take what is going on."""
        self._status = {**self._status, "text": text}

    def progress(self, progress: Progress) -> None:
        """Take how far the run is: a point of the curves."""
        epochs = progress.epoch - 1 + progress.done / progress.images
        self._status = {**self._status, "part": epochs / progress.epochs}
        recent = tuple(map(add, self._recent, progress[-3:]))
        count, loss, correct = self._recent = recent
        if count < _POINT:
            return
        points = [*self._points, [round(number, 5) for number in (
            epochs, loss / count, correct / count)]]
        if len(points) > _MOST_POINTS:
            points = [[sum(pair) / 2 for pair in zip(*two)]
                      for two in zip(points[::2], points[1::2])]
        self._points, self._recent = points, (0, 0.0, 0)

    def epoch(self, row: Row) -> None:
        """Take the results of an epoch."""
        self.recording.history.append(measured(row))
        self._version += 1

    def moment(self, moment: Moment, errors: list[dict[str, Any]]) -> None:
        """Take a moment and the most confident errors at it."""
        moments = list(self.recording.moments)
        add_moment(moments, moment)
        found = {**self._errors, moment[:2]: errors}
        self._errors = {place: found[place] for place in
                        (kept[:2] for kept in moments) if place in found}
        self.recording = self.recording._replace(moments=moments)
        self._version += 1

    def end(self) -> None:
        """Take that the run is over."""
        self._status = {"live": False, "text": "", "part": 1.0}
        self._seconds = time.monotonic() - self._began


def errors_of(found: Evaluation) -> list[dict[str, Any]]:
    """Return the most confident errors of an evaluation."""
    read = found.predictions
    return [{"index": i, "label": found.labels[i], "read": read[i],
             "output": found.outputs[i][read[i]]}
            for i in found.worst_errors(SHOWN_ERRORS)]


def _key(moment: Moment) -> str:
    """Return the name of a moment in a query."""
    return f"{moment.epoch}-{moment.images}"


def page_of(model: Model) -> RunPage | None:
    """Return the page of how a model learnt; None where its moments were not kept.

    DataError where the file beside it is damaged or another's.
    """
    path = model.path.with_name(MOMENTS)
    if model.path.name != MODEL or not path.exists():
        return None
    return RunPage(load_recording(path, about_run(
        model.network, model.levels, model.names, model.data)))


# --- While the network learns

class Watcher(Printer):
    """Prints how a run goes, shows it on a page, and keeps its moments."""

    marks = MARKS

    def __init__(self, folder: Path, network: Network, parts: Parts, settings: Settings,
                 history: History, port: int = 0, open_browser: bool = True) -> None:
        """The run of the folder begins, or goes on with the moments kept there."""
        super().__init__(settings["epochs"])
        train = parts["train"]
        if (train.height, train.width) != (SIZE, SIZE):
            raise OptionError(f"--watch: found images of {train.height} x "
                              f"{train.width} pixels, expected {SIZE} x {SIZE}")
        about = about_run(network, settings["grey_levels"], settings["class_names"],
                          settings["data"])
        path, part = folder / MOMENTS, "validation" if "validation" in parts else "test"
        moments = load_recording(path, about).moments if path.exists() else []
        recording = Recording(about, len(train), settings["epochs"], part,
                              list(map(measured, history)), moments)
        self.page = RunPage(recording, parts[part])
        self._path, self._port, self._open_browser = path, port, open_browser
        self._server: Server | None = None
        self._due = 0.0         # when there may be a moment that is no milestone
        self._at_terminal = sys.stdin.isatty()

    def begin(self) -> None:
        """Serve the page; not before, as processes that start would inherit that."""
        self._server = Server({"/": self.page.path}, self.page.questions, self._port)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        print(f"Watch it learn on {self._server.url}", flush=True)
        if self._open_browser:
            self._server.open_browser()

    def working(self, text: str) -> None:
        """Show the text on the live line and on the page."""
        super().working(text)
        self.page.tell(text)

    def progress(self, progress: Progress) -> None:
        """Show how far the run is."""
        super().progress(progress)
        self.page.progress(progress)

    def epoch(self, row: Row) -> None:
        """Print a line, and show it."""
        super().epoch(row)
        self.page.epoch(row)

    def moment(self, epoch: int, images: int, network: Network, found: Evaluation
               ) -> None:
        """Keep the network as it is now; between milestones as often as the page
        looks."""
        now = time.monotonic()
        if (now >= self._due or is_milestone(epoch, images)
                or epoch == self.page.recording.epochs):
            self.page.moment(Moment.of(epoch, images, network, found), errors_of(found))
            self._due = now + _BETWEEN_MOMENTS

    def close(self) -> None:
        """Write the moments beside the model, if there is one; the page stays."""
        super().close()
        self.page.end()
        if self._path.with_name(MODEL).exists() and self.page.recording.moments:
            try:
                save_recording(self._path, self.page.recording)
            except OSError as error:
                self.note(f"{self._path}: not written ({error.strerror or error})")

    def stay(self) -> None:
        """Serve until Ctrl-C, or until the terminal it would come from is gone."""
        print(f"The page stays on {self._server.url} (Ctrl-C ends)", flush=True)
        try:
            while sys.stdin.isatty() == self._at_terminal:
                time.sleep(1)
        except KeyboardInterrupt:
            pass
