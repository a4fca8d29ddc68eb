"""The examples in the docstrings are true, and importing a module does nothing else."""
import doctest
import importlib
import subprocess
import sys

import pytest
from conftest import ROOT

FOLDERS = "engine", "learning", "pictures", "show"
MODULES = sorted([path.stem for path in ROOT.glob("*.py")]
                 + [f"{folder}.{path.stem}" for folder in FOLDERS
                    for path in ROOT.joinpath(folder).glob("[!_]*.py")])


@pytest.mark.parametrize("name", MODULES)
def test_every_example_in_a_docstring_is_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", ["data_loader", "my_math", "network", "engine.lanes",
                                  "engine.sparse"])
def test_the_modules_that_teach_have_examples(name):
    assert doctest.testmod(importlib.import_module(name)).attempted > 0


def test_importing_prints_nothing_and_needs_nothing_installed():
    code = f"import {', '.join(MODULES)}"
    # -S hides installed packages, -I the environment; the folder then has to be added.
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append('.'); {code}"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (run.returncode, run.stdout) == (0, b"")
