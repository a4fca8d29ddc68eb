"""settings: one table, from which options, grids, recipes and checks are made."""
import contextlib
import io
import math
import re

import pytest

import train
from errors import OptionError
from learning.kinds import Record
from learning.settings import (DEFAULTS, GROUPS, KINDS, RECIPES, SETTINGS, as_options,
                               check_effects, option, with_new_names)
from network import Network

every_setting = pytest.mark.parametrize("name", SETTINGS)


@every_setting
def test_no_setting_takes_what_json_may_bring_instead(name):
    accepts, default = SETTINGS[name].kind.accepts, DEFAULTS[name]
    for value in (None, True, False, math.nan, math.inf, -1, "many", {}, [None], [True],
                  [0], [[1]], 1 << 2000):
        assert not accepts(value), value
    assert accepts(default)


@every_setting
def test_the_default_is_what_its_option_takes_and_the_help_says(name):
    line = SETTINGS[name]
    text, = as_options({name: line.default})
    assert text == f"{option(name)} {line.kind.text(line.default)}"
    assert vars(train.build_parser().parse_args(text.split()))[name] == line.default
    assert f"({line.kind.text(line.default)})" in " ".join(help_text().split())


def help_text():
    """What train.py --help prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert train.main(["--help"]) == 0
    return out.getvalue()


def test_the_help_has_groups_the_most_used_first():
    text = help_text()
    parts = re.split("|".join(f"\n{title}:" for title in (*GROUPS, "searches")), text)
    for part, names in zip(parts[1:], GROUPS.values()):
        assert all(f"\n  {option(name)} " in part for name in names)
    assert all(f"\n  --{name} " in parts[1] for name in ("data", "recipe"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_are_made_of_settings(recipe):
    Record(KINDS).check({**DEFAULTS, **RECIPES[recipe]})


# --- old names

OLD = {"sure": "skip_below", "rest": "skip_epochs", "calm": "cooldown"}


@pytest.mark.parametrize("old", OLD)
@pytest.mark.parametrize("form", ["--{} 0.5", "--{}=0.5"])
def test_an_old_option_names_the_new_one_in_one_line(old, form, capsys):
    assert train.main(form.format(old).split()) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"--{old}: this option is now called {option(OLD[old])}" in err
    assert f"--{old} " not in help_text()


def test_the_shipped_model_with_its_old_names_is_read():
    _, old = Network.load(train.RUNS.parent / "data" / "model.npz")
    settings = with_new_names(old)
    assert set(OLD) <= set(old) and not set(OLD) & set(settings)
    Record(KINDS).check({name: settings[name] for name in SETTINGS})


# --- effects

@pytest.mark.parametrize("given, others, words", [
    (["momentum"], {}, "--momentum has no effect with --optimizer sgd"),
    (["momentum"], {"optimizer": "adam"}, "no effect with --optimizer adam"),
    (["decay"], {}, "expected --schedule to be step"),
    (["decay_every"], {"schedule": "cosine"}, "--decay-every has no effect"),
    (["cooldown"], {"augment": "shift"}, "expected --augment to be affine or elastic"),
    (["skip_epochs"], {"skip_below": 0.0}, "with --skip-below 0")])
def test_a_setting_without_effect_is_refused(given, others, words):
    with pytest.raises(OptionError, match=words):
        check_effects({**DEFAULTS, **others}, given)
    check_effects({**DEFAULTS, **others}, [])
    check_effects({**DEFAULTS, "optimizer": "momentum", "schedule": "step"}, given)
    check_effects(DEFAULTS, given, {"optimizer": ["adam", "momentum"], "schedule": [
        "step"], "augment": ["affine"], "skip_below": [0.5]})
