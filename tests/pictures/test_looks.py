"""Pictures as people make them: read, or doubted, or refused; never wrong and sure."""
import pytest
from tools import looks

COUNT = 4       # pictures of each look; python tests/tools/looks.py FOLDER draws more
LEFT_OUT = {"a dot beside": ["a dot"], "a dash beside": ["a dash"], "as drawn": [],
            "framed": ["a frame"], "in a circle": ["a frame"],
            "touching the frame": ["a frame and what of a digit touches it"]}


@pytest.mark.parametrize("name", looks.LOOKS)
def test_each_look_is_read_and_what_is_no_digit_told(name, tmp_path, shipped):
    right = sure_and_wrong = 0
    for digit, path in looks.pictures(name, COUNT, tmp_path):
        found, doubtful, left_out = looks.answer(shipped, path)
        right += found == str(digit)
        sure_and_wrong += found.isdigit() and found != str(digit) and not doubtful
        assert left_out == LEFT_OUT.get(name, left_out)
    assert right >= COUNT - 1 and sure_and_wrong == 0
