"""The page to watch a run on: what its script is answered, during a run and after."""
import base64
import json
import os
import re
import shutil
import signal
import struct
import threading
import time
import urllib.request

import pytest
from conftest import ROOT, SAMPLE, serving
from tools import digest
from tools.asking import ask, is_short_refusal

import predict
import train
from data_loader import Dataset
from errors import OptionError
from learning.models import Model
from learning.moments import MOMENTS, Moment, Recording, about_run, load_recording
from learning.settings import DEFAULTS
from learning.training import Progress
from network import Evaluation, Network
from show import page as drawing
from show import watch
from show.server import Refusal, Server
from show.watch import RunPage, Watcher

NAMES = list("0123456789")
INK = bytes(140 * 30) + (bytes(64) + bytes([255]) * 12 + bytes(64)) * 80 + bytes(140 * 30)


@pytest.fixture
def tests(sample):
    return sample.head(40)


def evaluation(tests, wrong=()):
    """One that is right but for these images, which are read as the next class."""
    return Evaluation([[(0.9 if i in wrong else 1.0)
                        * (k == (label + (i in wrong)) % 10) for k in range(10)]
                       for i, label in enumerate(tests.labels)], tests.labels)


ROW = {"epoch": 1, "loss": 0.5, "train_accuracy": 0.75, "test_loss": 0.25,
       "test_accuracy": 0.95, "seconds": 1.5, "images": 600}


@pytest.fixture
def run_page(tests):
    """The page of a run of three epochs, of which one is done."""
    networks = [Network([784, 6, 10]), Network([784, 6, 10])]
    networks[1].layers[0].weights[406, 2] = 1.5
    about = about_run(networks[0], 4, NAMES, "sample")
    page = RunPage(Recording(about, 600, 3, "test", [], []), tests)
    for place, network, wrong in (((0, 0), networks[0], range(40)),
                                  ((1, 0), networks[1], (3, 30))):
        found = evaluation(tests, wrong)
        page.moment(Moment.of(*place, network, found), watch.errors_of(found))
    page.epoch(ROW)
    return page


# --- What the page is told

def test_the_server_answers_what_the_page_asks(run_page):
    with serving(Server({"/": RunPage.path}, run_page.questions)) as server:
        for path in "/run", "/now?version=", "/tiles?moment=1-0", "/wrong?moment=0-0":
            assert ask(server, "GET", path)[:2] == (200, "application/json")
        assert ask(server, "POST", "/answers", INK)[0] == 200
        for path in "/tiles?moment=2-0", "/tiles", "/wrong?moment=%00":
            assert is_short_refusal(ask(server, "GET", path), 404), path


def test_history_and_moments_are_told_where_they_are_new(run_page):
    assert run_page.run() == {
        "sizes": [784, 6, 10], "activation": "relu", "loss": "cross-entropy",
        "grey_levels": 4, "class_names": NAMES, "data": "sample", "images": 600,
        "epochs": 3, "evaluated_on": "test", "replayed": False}
    found = run_page.now("")
    assert found["history"] == [[0.5, 0.75, 0.25, 0.95, 1.5]]
    assert [(m["key"], m["name"], sum(m["correct"]), sum(m["counts"]))
            for m in found["moments"]] == [("0-0", "start", 0, 40),
                                           ("1-0", "epoch 1", 38, 40)]
    again = run_page.now(str(found["version"]))
    assert again.keys() == found.keys() - {"history", "moments"}
    run_page.epoch(ROW)
    assert len(run_page.now(str(found["version"]))["history"]) == 2


def test_progress_becomes_points_of_the_curves(run_page):
    """A point stands for 500 images or more; 400 points are the most."""
    def step(epoch, done, recent=250):
        run_page.progress(Progress(epoch, 3, done, 600, 7.0, recent, 50.0, 200))

    step(2, 150)
    assert run_page.now("")["points"] == []
    step(2, 300)
    now = run_page.now("")
    assert now["points"] == [[1.5, 0.2, 0.8]] and now["part"] == 0.5
    for k in range(1000):
        step(2, 301 + k, recent=500)
        assert len(run_page.now("")["points"]) <= 400
    points = run_page.now("")["points"]
    assert len(points) > 200 and points == sorted(points)
    assert {tuple(point[1:]) for point in points[10:]} == {(0.1, 0.4)}


def test_the_seconds_pass_until_the_end(run_page, monkeypatch):
    now = time.monotonic()
    for seconds, live in ((100, True), (500, False)):
        monkeypatch.setattr(watch.time, "monotonic", lambda: now + seconds)
        found = run_page.now("")
        assert 99 < found["seconds"] <= 100 and found["live"] == live
        run_page.end()
    assert found["part"] == 1


def test_tiles_and_errors_are_those_of_the_moment(run_page, tests):
    for key, expected in (("0-0", False), ("1-0", True)):
        content = base64.b64decode(run_page.tiles(key)["weights"])
        weights = struct.unpack(f"<{784 * 6}h", content)
        assert (weights[406 * 6 + 2] == 128 * 1.5) == expected
    images = run_page.wrong("1-0")["images"]
    assert {image["index"] for image in images} == {3, 30}
    for image in images:
        label = tests.labels[image["index"]]
        assert base64.b64decode(image["picture"]) == tests.image(image["index"])
        assert (image["label"], image["read"]) == (label, (label + 1) % 10)
        assert image["output"] == 0.9
    assert len(run_page.wrong("0-0")["images"]) == watch.SHOWN_ERRORS


def test_the_answers_are_those_of_each_moment(run_page):
    found = run_page.answers(INK)
    assert (found["remark"], found["digits"]) == ("", 1)
    remark, (picture,) = drawing.pictures_in(INK, NAMES)
    x = drawing.SparseMatrix.from_images([picture], 4)
    for moment in run_page.recording.moments:
        network = watch.unpack(moment.numbers, [784, 6, 10], "relu", "cross-entropy")
        key = f"{moment.epoch}-{moment.images}"
        assert found["outputs"][key] == list(network.predict(x)[0])
    assert found["outputs"]["0-0"] != found["outputs"]["1-0"]
    assert run_page.answers(bytes([255]) * 140 ** 2)["remark"] == "ink everywhere"


def test_moments_that_went_are_forgotten(run_page, tests):
    for epoch in (4, 6, 7):
        found = evaluation(tests)
        run_page.moment(Moment.of(epoch, 0, Network([784, 6, 10]), found), [])
        run_page.answers(INK)
    assert [m["key"] for m in run_page.now("")["moments"]] == ["0-0", "1-0", "7-0"]
    assert run_page._networks.keys() == run_page._errors.keys() == {
        (0, 0), (1, 0), (7, 0)}
    with pytest.raises(Refusal):
        run_page.tiles("6-0")


# --- The same bits

class Pestered(Watcher):
    """Has a page that is asked for everything all the time, from its begin to its end.
    """

    asked = 0

    def begin(self):
        super().begin()
        self.thread = threading.Thread(target=self._pester, daemon=True)
        self.thread.start()

    def _pester(self):
        while self.page.now("")["live"]:
            for moment in self.page.now("")["moments"]:
                for question in self.page.tiles, self.page.wrong:
                    try:
                        question(moment["key"])
                    except Refusal:                     # it was replaced meanwhile
                        pass
                    self.asked += 1
            self.page.answers(INK)


@pytest.mark.parametrize("name, workers", [
    ("affine", 1), ("affine", 2), ("adam", 2), ("one layer", 1), ("dropout", 1)])
def test_a_watched_run_has_the_same_weights(name, workers, tmp_path):
    parts, (network, settings, _) = digest.begin({**DEFAULTS, **digest.RUNS[name]})
    watcher = Pestered(tmp_path, network, parts, settings, [], open_browser=False)
    try:
        found = digest.train(settings, workers, tmp_path, watcher)
    finally:
        watcher.close()
        watcher.thread.join(20)
        watcher._server.shutdown()
        watcher._server.server_close()
    assert found == digest.digest_of(name) and watcher.asked
    places = [moment[:2] for moment in watcher.page.recording.moments]
    assert places[0] == (0, 0) and places[-1] == (settings["epochs"], 0)
    assert any(images for _, images in places) == (settings["limit"] > 100
                                                   and settings["batch_size"] > 0)
    assert load_recording(tmp_path / MOMENTS, watcher.page.recording.about
                          ).moments == watcher.page.recording.moments


# --- The file

@pytest.fixture
def watcher(run_page, tests, tmp_path):
    settings = {**DEFAULTS, "data": "sample", "class_names": NAMES, "epochs": 3}
    made = Watcher(tmp_path, Network([784, 6, 10]), {"train": tests, "test": tests},
                   settings, [])
    made.page = run_page
    return made


def test_moments_are_kept_beside_a_model_only(watcher, tmp_path, capsys):
    watcher.close()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "model.npz").touch()
    watcher.close()
    (tmp_path / MOMENTS).unlink()
    (tmp_path / MOMENTS).mkdir()        # cannot be written, which ends no run
    watcher.close()
    told = capsys.readouterr().err
    assert f"{tmp_path / MOMENTS}: not written (Is a directory)" in told


def test_quick_epochs_have_a_moment_in_three_seconds(watcher, tests, monkeypatch):
    """Epoch 10 is a milestone, 12 is the last one; an epoch takes 1.2 s."""
    seen, found = [], evaluation(tests)
    watcher.page.recording = watcher.page.recording._replace(epochs=12)
    monkeypatch.setattr(watcher.page, "moment",
                        lambda moment, _: seen.append(moment[0]))
    for epoch in range(4, 13):
        monkeypatch.setattr(watch.time, "monotonic", lambda: 1.2 * epoch)
        watcher.moment(epoch, 0, Network([784, 6, 10]), found)
    assert seen == [4, 5, 8, 10, 12]


def test_images_of_another_size_are_refused(tmp_path):
    data = Dataset("small", bytes(4), bytes([0, 1]), height=1, width=2)
    with pytest.raises(OptionError, match="--watch: found images of 1 x 2 pixels"):
        Watcher(tmp_path, Network([2, 2]), {"train": data, "test": data}, DEFAULTS, [])


@pytest.fixture
def model(tmp_path):
    shutil.copy(ROOT / "data" / "model.npz", tmp_path)
    return tmp_path / "model.npz"


def test_a_model_with_moments_beside_it_is_replayed(model):
    assert watch.page_of(Model.load(model)) is None
    shutil.copy(ROOT / "data" / MOMENTS, model.parent)
    found = Model.load(model)
    page = watch.page_of(found)
    assert page.run()["replayed"] and not page.now("")["live"]
    assert page.now("")["seconds"] == pytest.approx(
        sum(row[4] for row in page.recording.history), abs=0.1)
    assert page.wrong("160-0") == {"images": []}
    for run, status in ((page, 200), (None, 404)):
        with serving(drawing.make_server(found, run=run)) as server:
            replayed = json.loads(ask(server, "GET", "/start")[2])["replayed"]
            assert replayed == (run is not None)
            assert ask(server, "GET", "/learning")[0] == status
            assert ask(server, "GET", "/tiles?moment=160-0")[0] == status
    other = model.rename(model.parent / "other.npz")        # not the run's model
    assert watch.page_of(Model.load(other)) is None


def test_wrong_moments_are_one_line_and_code_2(model, capsys):
    (model.parent / MOMENTS).write_bytes(b'{"about": {}}\n')
    assert predict.main(["--draw", "--no-browser", "--model", str(model)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "Traceback" not in err
    assert err.startswith(f"predict.py: {model.parent / MOMENTS}: found ")


# --- The command

@pytest.mark.parametrize("options, words", [
    (["--port", "8000"], "--port and --no-browser go with --watch only"),
    (["--no-browser"], "--port and --no-browser go with --watch only"),
    (["--watch", "--grid", "hidden=8,9"], "--watch goes with one run"),
    (["--watch", "--port", "65536"], "65536")])
def test_options_that_do_not_go_together_are_one_line(options, words, capsys):
    assert train.main(["--data", str(SAMPLE), *options]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


def test_a_port_in_use_leaves_nothing_behind(tmp_path, capsys, run_page):
    with Server({"/": RunPage.path}, run_page.questions) as server:
        code = train.main(["--data", str(SAMPLE), "--limit", "64", "--epochs", "1",
                           "--output", str(tmp_path / "run"), "--watch", "--no-browser",
                           "--port", str(server.server_port), "--workers", "2"])
    err = capsys.readouterr().err
    assert code == 2 and f"port {server.server_port}: found" in err
    assert list(tmp_path.iterdir()) == []


SMALL = ["--data", str(SAMPLE), "--hidden", "16", "--limit", "500", "--watch",
         "--no-browser", "--no-plots"]


def test_a_stopped_run_keeps_its_moments_and_goes_on_with_them(train_process, tmp_path):
    folder = str(tmp_path / "run")
    process = train_process(*SMALL, "--epochs", "500", "--output", folder,
                            until="Epoch  3/500")
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=20)[1]
    assert process.returncode == 130 and "--resume" in err
    assert (tmp_path / "run" / MOMENTS).exists()
    process = train_process("--data", str(SAMPLE), "--resume", folder, "--watch",
                            "--no-browser", until="Network:")
    url = re.search("http://127.0.0.1:[0-9]+/", process.stdout.readline())[0]
    with urllib.request.urlopen(url + "now?version=") as answer:
        now = json.load(answer)
    assert [moment["name"] for moment in now["moments"][:4]] == [
        "start", "128 images", "epoch 1", "epoch 2"]
    assert now["live"] and len(now["history"]) >= 3


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals")
def test_the_page_goes_when_its_terminal_has_gone(train_process, tmp_path):
    """A training outlives its terminal; a page that nobody can end must not."""
    ours, theirs = os.openpty()
    process = train_process(*SMALL, "--epochs", "1", "--output", str(tmp_path / "run"),
                            until="The page stays", stdin=theirs)
    os.close(theirs)
    os.close(ours)
    assert process.wait(20) == 0
