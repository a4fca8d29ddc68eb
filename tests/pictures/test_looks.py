"""Pictures as people make them: read, or doubted, or refused; never wrong and sure."""
import pytest
from conftest import ROOT
from tools import looks

from learning.models import Ensemble
from pictures.digit import find_digits, read_picture

MODEL = Ensemble.load([ROOT / "data" / "model.npz"])
COUNT = 4           # pictures of each look; python tests/tools/looks.py draws more


@pytest.mark.parametrize("name", looks.LOOKS)
def test_each_look_is_read(name, tmp_path):
    right = sure_and_wrong = 0
    for digit, path in looks.pictures(name, COUNT, tmp_path):
        found, doubtful = looks.answer(MODEL, path)
        right += found == str(digit)
        sure_and_wrong += found.isdigit() and found != str(digit) and not doubtful
    assert right >= COUNT - 1 and sure_and_wrong == 0


@pytest.mark.parametrize("name, left_out", [
    ("a dot beside", ["a dot"]), ("a dash beside", ["a dash"]), ("as drawn", []),
    ("framed", ["a frame"]), ("in a circle", ["a frame"]),
    ("touching the frame", ["a frame and what of a digit touches it"])])
def test_what_is_no_digit_is_left_out_and_told(name, left_out, tmp_path):
    for _, path in looks.pictures(name, COUNT, tmp_path):
        assert find_digits(read_picture(path), path).left_out == left_out
