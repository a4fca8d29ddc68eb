"""The training command: python train.py [options], or --help for all of them.

After each epoch the network is tested and a checkpoint is written, so that a run can
be stopped and resumed.
"""
from __future__ import annotations

import signal
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)    # no traceback from an import

import argparse
import shlex
import shutil
import sys
import textwrap
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Iterator, Mapping, Sequence

from data_loader import Dataset
from engine.files import locked
from engine.team import WorkerError, check_workers, default_workers, run_team
from errors import DataError, OptionError
from learning.checkpoint import (MODEL, RUNS, History, RunState, best_row,
                                 check_same_data, load_checkpoint, other_data,
                                 shown_path)
from learning.download import folder_in_use
from learning.kinds import whole
from learning.models import Model
from learning.search import (MOST_RUNS, PLAN, Plan, done_before, parse_grid,
                             train_all)
from learning.settings import (DEFAULTS, GROUPS, RECIPES, Settings, add_options,
                               as_options, check_effects, option, value_text)
from learning.training import (Parts, begin, check_learnable, check_size,
                               train_network)
from network import Evaluation, Network
from show import figures
from show.console import LiveLine, Parser, load_data, path_name, run_command
from show.runs import (Printer, plan_line, report_folds, report_grid, resume_line,
                       training_note, trial_line, under_way)
from show.text import accuracy_text

EXAMPLES = """\
examples:
  python train.py                             train on MNIST, downloaded if need be
  python train.py --recipe fast               over in 12 seconds
  python train.py --recipe best               the most accurate
  python train.py --hidden 64-32 --augment shift --learning-rate 0.2
  python train.py --recipe fast --watch       see it learn on a page in the browser
  python train.py --resume runs/default-1     go on where a run was stopped
  python train.py --grid hidden=64,128 learning-rate=0.1,0.2 --epochs 5
  python train.py --folds 5 --epochs 5        cross-validation

Each run has a folder of its own: model.npz (its checkpoint), history.csv, pictures, and
with --watch moments.bin (its network at the start, after 100 images, ... at the end).
"""

# --- options

def build_parser() -> Parser:
    """Return the parser; settings that are not given are None, see DEFAULTS."""
    parser = Parser(prog="train.py", usage="%(prog)s [options]", epilog=EXAMPLES,
                    formatter_class=argparse.RawDescriptionHelpFormatter,
                    description="Train a network on handwritten digits.")
    groups = {title: parser.add_argument_group(title).add_argument
              for title in (*GROUPS, "searches")}
    most, run, search = map(groups.__getitem__, ("most used", "the run", "searches"))
    most("--data", type=path_name, metavar="DIR", help="folder with the four IDX "
         "files, or a .csv file (default: $MNIST_DIR, else data/mnist, else it is "
         "downloaded)")
    most("--recipe", choices=(*RECIPES, "list"), metavar="NAME", help="a set of "
         "settings; options given beside it change them (default); list prints all")
    for title, settings in GROUPS.items():
        add_options(groups[title], settings)
    most("--output", type=path_name, metavar="DIR",
         help="new folder of the run (runs/<recipe>-<number>)")
    most("--resume", type=path_name, metavar="DIR",
         help="go on with the run or search in this folder")
    most("--watch", action="store_true", help="show on a page in the browser how it "
         "learns; afterwards too, until Ctrl-C, and by predict.py --draw")
    run("--port", type=whole(0, 65535), metavar="N",
        help="with --watch: the page's port (default: any that is free)")
    run("--no-browser", action="store_true",
        help="with --watch: print the page's address, open nothing")
    run("--workers", type=whole(1), metavar="N", help="processes that share the "
        "work, with the same result for any number (as many as there are cores)")
    run("--no-plots", action="store_true", help="draw no pictures")
    search("--grid", nargs="+", action="extend", metavar="SETTING=VALUE[,VALUE...]",
           help="train every combination of these values and compare them by "
           "--validation images (a sixth) or --folds; --workers is how many at once")
    search("--folds", type=whole(2), metavar="K", help="cross-validation: the "
           "training images in K parts, K networks each evaluated on the part not seen")
    return parser


def given_settings(options: argparse.Namespace) -> Settings:
    """Return the settings that options were given for."""
    given = {name: getattr(options, name) for name in DEFAULTS}
    return {name: value for name, value in given.items() if value is not None}


def settings_from(options: argparse.Namespace, grid: Mapping[str, list] = {}
                  ) -> Settings:
    """Return those of a new run: what was given, else the recipe's, else the defaults.
    """
    recipe, given = options.recipe or "default", given_settings(options)
    settings = {**DEFAULTS, **RECIPES[recipe], "recipe": recipe, **given}
    check_effects(settings, [*given, *grid], grid)
    searching = grid or options.folds       # it has its own images to validate on
    if settings["patience"] and not (settings["validation"] or searching):
        raise OptionError("--patience needs images to evaluate on: give --validation "
                          "too, such as --validation 10000")
    return settings


def refuse_beside_resume(options: argparse.Namespace, *but_for: str) -> None:
    """Raise OptionError where an option would change a run that is resumed."""
    for name in ("recipe", "output", "grid", "folds", *DEFAULTS):
        if getattr(options, name) is not None and name not in but_for:
            raise OptionError(f"{option(name)} cannot be given with --resume: a run "
                              "that is resumed keeps its settings and its folder")


def recipe_lines(width: int = 88) -> list[str]:
    """The options that make each recipe of the defaults."""
    lines, first = [], max(map(len, (*RECIPES, "(defaults)"))) + 2
    for name, settings in {"(defaults)": DEFAULTS, **RECIPES}.items():
        # An option and its value stay on one line.
        options = [text.replace(" ", "\xa0") for text in as_options(settings)]
        lines += textwrap.wrap(
            " ".join(options) or "like the defaults", max(40, width),
            initial_indent=name.ljust(first), subsequent_indent=" " * first,
            break_on_hyphens=False)
    return [line.replace("\xa0", " ") for line in lines]


# --- the folder of a run

@contextmanager
def new_folder(output: str | None, recipe: str) -> Iterator[Path]:
    """Make the folder of a new run, the one named or the next free number in runs/, and
    keep it to this process; where nothing came to be in it, it goes again."""
    try:
        is_new = output is None or not Path(output).exists()
        folder = _next_free(recipe) if output is None else Path(output)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(output or RUNS, error.strerror or str(error),
                        "a folder that can be written",
                        "name one by --output") from None
    try:
        with locked(folder):
            if any(folder.iterdir()):
                raise DataError(folder, "a folder with files in it", "a new or empty "
                                "one", "name another, or go on with a run by --resume")
            yield folder
    finally:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def _next_free(recipe: str) -> Path:
    """Make runs/<recipe>-<number>; making it takes it, so two runs never share one."""
    RUNS.mkdir(exist_ok=True)
    for number in count(1):
        with suppress(FileExistsError):
            (folder := RUNS / f"{recipe}-{number}").mkdir()
            return folder


# --- the command

def limited(images: Dataset, settings: Settings) -> Dataset:
    """Return the training images within --limit; OptionError where --validation would
    leave none to train on."""
    images = images.head(settings["limit"]) if settings["limit"] else images
    if settings["validation"] >= len(images):
        raise OptionError(f"--validation {settings['validation']}: expected fewer than "
                          f"the {len(images):,} training images")
    return images


def load_parts(data: str | None, settings: Settings) -> Parts:
    """Return the data sets "train", "test" and, if asked for, "validation"."""
    train, test = load_data(data)
    parts = {"train": limited(train, settings), "test": test}
    if settings["validation"]:
        parts["train"], parts["validation"] = parts["train"].split(
            settings["validation"])
    check_learnable(parts["train"])
    words = {"train": "to train on", "test": "to test", "validation": "to validate on"}
    sizes = ", ".join(f"{len(part):,} {words[name]}" for name, part in parts.items())
    print(f"Data: {train.name}, {sizes}")
    return parts


def finish(found: Evaluation, test: Dataset, folder: Path, settings: Settings,
           history: History, options: argparse.Namespace) -> None:
    """Print the result on the whole test set and draw the pictures."""
    model, last = shown_path(folder / MODEL), history[-1]
    if settings["patience"]:
        last = best_row(history)
        print(f"The best epoch is {last['epoch']}, with "
              f"{last['validation_accuracy']:.2%} of the validation images classified "
              "correctly.")
    print(f"\n{accuracy_text(found.accuracy, len(test), test.name)}.")
    if note := training_note(last, found.accuracy, settings):
        print(note)
    print(f"Model: {model}")
    if not options.no_plots:
        try:
            names = figures.draw_model(folder, Model.load(folder / MODEL), test, found,
                                       history)
            print(f"Pictures: {', '.join(names)}")
        except ImportError as error:
            print(f"No pictures drawn: {error}")
    print(f"Try it: python predict.py --index 42 --model {shlex.quote(model)}"
          f"{data_option(options.data)}")


def data_option(data: str | None) -> str:
    """Return the option with which a command finds the same data."""
    return f" --data {shlex.quote(data)}" if data else ""


def worker_count(options: argparse.Namespace, settings: Settings, pixels: int) -> int:
    """Return how many processes train: --workers, else as many as there are cores."""
    is_lists = settings["engine"] == "lists"
    workers = options.workers or (1 if is_lists else min(default_workers(), pixels))
    try:
        if is_lists and workers > 1:
            raise WorkerError("expected 1 with --engine lists, which cannot be split")
        check_workers(workers, pixels)
    except WorkerError as error:
        raise OptionError(f"--workers {workers}: {error}") from None
    return workers


def run(options: argparse.Namespace) -> None:
    """Train as the options say, from the start or from a checkpoint."""
    if options.resume is not None:
        refuse_beside_resume(options, "epochs")
        with locked(folder := Path(options.resume)):
            network, settings, state = load_checkpoint(folder, options.epochs)
            parts = load_parts(options.data, settings)
            check_same_data(parts, network, settings, state)
            print(resume_line(state, settings))
            train_in(folder, network, parts, settings, state, options)
        return
    settings = settings_from(options)
    parts = load_parts(options.data, settings)
    network, settings, state = begin(settings, parts)
    with new_folder(options.output, settings["recipe"]) as folder:
        train_in(folder, network, parts, settings, state, options)


def train_in(folder: Path, network: Network, parts: Parts, settings: Settings,
             state: RunState, options: argparse.Namespace) -> None:
    """Do what is left of a run in its folder."""
    workers = worker_count(options, settings, network.sizes[0])
    batch = value_text("batch_size", settings["batch_size"])
    print(f"Network: {'-'.join(map(str, network.sizes))}, {network.activation}, "
          f"{network.loss}, {network.parameter_count:,} parameters; batch {batch}, "
          f"seed {settings['seed']}, {settings['engine']} engine, {workers} "
          f"{'process' if workers == 1 else 'processes'}")
    history, printer = state.history, Printer(settings["epochs"])
    if options.watch:
        from show.watch import Watcher      # what few need would slow all starts
        printer = Watcher(folder, network, parts, settings, history,
                          options.port or 0, not options.no_browser)
    try:
        found = run_team(workers, train_network, network, parts, settings, folder,
                         state, printer)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_what_is_kept(folder, history, options.data)) from None
    except OverflowError as error:
        raise OptionError(f"training diverged ({error}): expected the loss to fall; "
                          "lower --learning-rate") from None
    except WorkerError as error:
        raise OptionError(f"{error}: expected all {workers} to work to the end; "
                          f"{_what_is_kept(folder, history, options.data)}") from None
    finally:
        printer.close()
    finish(found, parts["test"], folder, settings, history, options)
    if options.watch:
        printer.stay()


def _what_is_kept(folder: Path, history: History, data: str | None) -> str:
    """Return what a run that ends early leaves behind, and how to go on with it."""
    if not (folder / MODEL).exists():
        return "nothing to keep before the first epoch is done"
    epochs = f"{len(history)} epoch{'s are' if len(history) > 1 else ' is'}"
    return (f"{epochs if history else 'a part of the first epoch is'} kept; "
            f"{_how_to_go_on(folder, data)}")


def _how_to_go_on(folder: Path, data: str | None = None) -> str:
    return (f"go on with: python train.py --resume {shlex.quote(shown_path(folder))}"
            f"{data_option(data)}")


# --- searches

def plan_from(options: argparse.Namespace) -> Plan:
    """The search that the options ask for, its data unknown as yet."""
    grid, given = parse_grid(options.grid or []), given_settings(options)
    settings = settings_from(options, grid)
    for name in grid:
        if name in given:
            raise OptionError(f"{option(name)} cannot be given with a --grid of its "
                              "values")
    if options.folds and settings["validation"]:
        raise OptionError("--validation cannot be given with --folds: each fold is "
                          "evaluated on a part of its own")
    if options.folds and (settings["patience"] or "patience" in grid):
        raise OptionError("--patience cannot be given with --folds: the images that "
                          "say when to stop could not be used again")
    return Plan(settings, grid, options.folds or 0)


def with_data(plan: Plan, data: str | None) -> Plan:
    """Return the plan with its data; the test set is not loaded.

    A search that is resumed remembers the folder of its data.
    """
    settings, folder = plan.settings, folder_in_use(data or plan.folder)
    images, = load_data(data or plan.folder, parts=("train",))
    images = limited(images, settings)
    if plan.sha256 and plan.sha256 != images.checksum:
        raise other_data(images.name, plan.data)
    check_learnable(images)
    if plan.size > MOST_RUNS:
        raise OptionError(f"a search of {plan.size:,} runs: expected at most "
                          f"{MOST_RUNS:,}")
    for chosen in plan.combinations:
        check_size({**settings, **chosen}, images)
    if plan.folds > len(images):
        raise OptionError(f"--folds {plan.folds}: expected no more than the "
                          f"{len(images):,} training images")
    use = f"in {plan.folds} parts"
    if not plan.folds:
        count = settings["validation"] or max(1, len(images) // 6)
        use = f"{len(images) - count:,} to train on, {count:,} to validate on"
        if not settings["validation"]:
            use += " (the last sixth, as no --validation is given)"
        settings = {**settings, "validation": count}
    print(f"Data: {images.name}, {len(images):,} training images, {use}")
    return plan._replace(settings=settings, data=images.name, sha256=images.checksum,
                         folder=str(folder.resolve()))


def run_search(options: argparse.Namespace) -> None:
    """Search as the options say, from the start or where a search was stopped."""
    if options.resume is not None:
        refuse_beside_resume(options)
        with locked(folder := Path(options.resume)):
            search_in(folder, with_data(Plan.load(folder), options.data), options)
        return
    plan = with_data(plan_from(options), options.data)
    with new_folder(options.output, "grid" if plan.grid else "folds") as folder:
        plan.save(folder)
        search_in(folder, plan, options)


def search_in(folder: Path, plan: Plan, options: argparse.Namespace) -> None:
    """Do what is left of a search in its folder."""
    workers = options.workers or default_workers()
    results = done_before(plan, folder)
    print(plan_line(plan, workers))
    if results:
        print(f"{len(results)} of them were done before.")
    try:
        train_the_rest(plan, folder, workers, results)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{len(results)} of {len(plan.trials)} runs are done; "
                                f"{_how_to_go_on(folder)}") from None
    except WorkerError as error:
        raise OptionError(f"{error}: expected each run to end by itself; "
                          f"{_how_to_go_on(folder)}") from None
    if plan.folds:
        report_folds(plan, results, folder)
    if plan.grid:
        best = report_grid(plan, results, folder,
                           None if options.no_plots else figures.draw_search)
        is_default = folder_in_use().resolve() == Path(plan.folder)
        data = options.data or (None if is_default else shown_path(plan.folder))
        print(f"Train the best: {plan.command(best)}{data_option(data)}")


def train_the_rest(plan: Plan, folder: Path, workers: int, results: dict[str, dict]
                   ) -> None:
    """Train what has no result yet, print a line as each run ends, add its result."""
    live = LiveLine()
    left = [trial for trial in plan.trials if trial.name not in results]
    try:
        with closing(train_all(left, plan.folder, folder, workers)) as events:
            for ended in events:
                if ended:
                    trial, result = ended
                    results[trial.name] = result
                    live.clear()
                    print(trial_line(plan, trial, result), flush=True)
                live.show(under_way(plan, results, folder))
    finally:
        live.clear()


def follow(options: argparse.Namespace) -> int:
    """Do what the options ask for: list recipes, search, or train."""
    resumes_search = options.resume and (Path(options.resume) / PLAN).exists()
    is_search = options.grid or options.folds or resumes_search
    if options.recipe == "list":
        print(*recipe_lines(shutil.get_terminal_size((88, 24)).columns), sep="\n")
    elif not options.watch and (options.port is not None or options.no_browser):
        raise OptionError("--port and --no-browser go with --watch only")
    elif options.watch and is_search:
        raise OptionError("--watch goes with one run, not with a search")
    else:
        (run_search if is_search else run)(options)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command("train.py", lambda: follow(build_parser().parse_args(argv)),
                       outlives_terminal=True)


if __name__ == "__main__":
    sys.exit(main())
