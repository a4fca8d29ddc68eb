"""The prediction command: python predict.py --index 42, or --help for all options."""
from __future__ import annotations

import signal
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)    # no traceback from an import

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Sequence

from data_loader import Dataset
from errors import DataError, OptionError, one_line
from learning.checkpoint import shown_path
from learning.kinds import whole
from learning.models import Ensemble, Model, find_model, quantized, shift_accuracies
from learning.settings import option
from my_math import argmax
from network import Evaluation
from show.console import LiveLine, Parser, load_data, path_name, run_command
from show.text import (answer_text, bar_lines, evaluation_lines, evaluation_object,
                       framed, image_object, model_text, models_text, picture,
                       row_lines, shift_lines, shift_object)

SIDE = 28           # pixels of a side of what a picture is turned into

EXAMPLES = """\
examples:
  python predict.py --index 42                 one test image: picture, answer
  python predict.py --index 42 --explain       the same, worked out in numbers
  python predict.py --image seven.png          your own picture, or several
  python predict.py --image number.png --show  ... and what the network sees of it
  python predict.py --draw                     draw digits in your browser
  python predict.py --test                     the whole test set, digit by digit
  python predict.py --test --shift 4           ... moved by 0 to 4 pixels
  python predict.py --test --model runs/default-1/model.npz runs/default-2/model.npz
  python predict.py --image *.png --json       for other programs: an object a line
  python predict.py --pictures out             what the model has learnt, drawn
"""


def build_parser() -> Parser:
    """Return the parser of the options."""
    parser = Parser(prog="predict.py", epilog=EXAMPLES, usage="%(prog)s "
                    "(--index N | --image FILE... | --test | --draw | --pictures DIR) "
                    "[more options]",
                    description="Read handwritten digits with a trained network.",
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_argument_group("what to read")
    only = group.add_mutually_exclusive_group()
    only.add_argument("--index", type=whole(0), metavar="N",
                      help="test image N, counted from 0")
    only.add_argument("--image", type=path_name, nargs="+", metavar="FILE",
                      help="pictures of a digit each, or of several side by side; no "
                      "data set is needed")
    only.add_argument("--test", action="store_true", help="the whole test set")
    only.add_argument("--draw", action="store_true",
                      help="what you draw on a page in the browser, until Ctrl-C")
    source = parser.add_argument_group("with which model and data").add_argument
    source("--model", type=path_name, nargs="+", metavar="FILE", help="model.npz of a "
           "run, or several, whose outputs are averaged (default: the newest in runs/ "
           "if it was trained on all of the same data, else data/model.npz)")
    source("--data", type=path_name, metavar="DIR", help="folder with the four IDX "
           "files, or a .csv file (default: $MNIST_DIR, else data/mnist)")
    form = parser.add_argument_group("in what form").add_argument
    form("--explain", action="store_true", help="with --index or --image: the way "
         "through the network and back in numbers and shapes")
    form("--unit", type=whole(0), metavar="N", help="with --explain: write out "
         "the sum of unit N of the first layer (default: the most active one)")
    form("--show", action="store_true", help="with --image: print each digit as the "
         "network sees it")
    form("--shift", type=whole(1, 27), metavar="N",
         help="with --test: accuracy on images moved by 0, 1, ... N pixels")
    form("--json", action="store_true", help="an object a picture and line")
    form("--pictures", type=path_name, metavar="DIR", help="draw what the model has "
         "learnt and how it does on the test set, alone or with --test; takes minutes, "
         "needs matplotlib")
    form("--port", type=whole(0, 65535), metavar="N",
         help="with --draw: the page's port (default: any that is free)")
    form("--no-browser", action="store_true",
         help="with --draw: print the page's address, open nothing")
    return parser


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; OptionError where they make no sense together."""
    parser = build_parser()
    options = parser.parse_args(argv)
    given = {name for name, value in vars(options).items()
             if value is not None and value is not False}
    if not given & {"index", "image", "test", "draw", "pictures"}:
        parser.error("expected one of --index, --image, --test, --draw, --pictures")
    for name, others in {
            "explain": ["index", "image"], "unit": ["explain"], "show": ["image"],
            "shift": ["test"], "port": ["draw"], "no_browser": ["draw"],
            "data": ["index", "test", "pictures"]}.items():
        if name in given and not given & set(others):
            parser.error(f"{option(name)} goes with "
                         f"{' or '.join(map(option, others))} only")
    for name, others in {"json": ["explain", "show", "draw", "pictures"],
                         "pictures": ["index", "image", "draw", "shift"]}.items():
        for other in given & set(others) if name in given else ():
            parser.error(f"{option(name)} does not go with {option(other)}")
    for name in {"explain", "draw", "pictures"} & given:
        if len(options.model or []) > 1:
            parser.error(f"{option(name)} takes one model, found {len(options.model)}")
    return options


# --- One image, or the pictures in some files -----------------------------------------


def print_json(found: dict) -> None:
    """Print an object as one line; ValueError for NaN, which JSON does not have."""
    print(json.dumps(found, allow_nan=False))


def explanation(ensemble: Ensemble, image: bytes, width: int, names: Sequence[str],
                unit: int | None, label: int | None = None) -> str:
    """Return the first model's forward pass in words, and its gradient for a label."""
    from show.explain import explain        # few need it, and all would wait for it
    model = ensemble.models[0]
    try:
        lines = explain(model.network, image, width, model.levels, names, label, unit)
    except IndexError as error:
        raise OptionError(f"--unit: found {error}") from None
    return "\n".join(lines)


def show_index(ensemble: Ensemble, test: Dataset, options: argparse.Namespace) -> None:
    """Print one test image, its class probabilities, and if the answer is right."""
    index, names = options.index, test.class_names
    if index >= len(test):
        raise OptionError(f"--index {index}: expected 0 to {len(test) - 1}, the "
                          f"{len(test):,} test images of {test.name}")
    image, label = test.image(index), test.labels[index]
    answers = ensemble.predict(image)
    if options.json:
        print_json(image_object(answers, names, ensemble.models, index=index,
                                label=label))
        return
    verdict = "right" if argmax(answers) == label else f"wrong, it is {names[label]}"
    middle = "\n".join(bar_lines(answers, names))
    if options.explain:
        middle = explanation(ensemble, image, test.width, names, options.unit, label)
    print(f"Test image {index} of {test.name}\n")
    print(*picture(image, test.width), sep="\n")
    print(f"\n{middle}\n\nAnswer: {answer_text([answers], names)} "
          f"({max(answers):.2%}), {verdict}\n{models_text(ensemble.models)}")


def show_files(ensemble: Ensemble, options: argparse.Namespace) -> int:
    """Answer for each file; one that cannot be read costs a line and exit code 2."""
    from pictures.digit import find_digits, read_picture
    code, answered = 0, False
    for path in options.image:
        try:
            digits, left_out = find_digits(read_picture(path), path)
        except DataError as error:
            sys.stdout.flush()
            print(f"predict.py: {error}", file=sys.stderr)
            code = 2
            continue
        answers, answered = list(map(ensemble.predict, digits)), True
        if options.json:
            for i, row in enumerate(answers):
                place = {"position": i} if len(digits) > 1 else {}
                print_json(image_object(row, ensemble.names, ensemble.models,
                                        file=path, left_out=left_out, **place))
        else:
            show_digits(ensemble, path, digits, answers, options)
            if left_out:
                print(f"Left out, as no digit: {', '.join(left_out)}\n")
    if answered and not options.json:
        print(models_text(ensemble.models))
    return code


def show_digits(ensemble: Ensemble, path: str, digits: Sequence[bytes],
                answers: Sequence[Sequence[float]], options: argparse.Namespace
                ) -> None:
    """Print the answers for the digits of one picture."""
    names, several = ensemble.names, len(digits) > 1
    print(one_line(path)
          + f": {len(digits)} digits, from left to right" * several)
    for i, digit in enumerate(digits, 1):
        if several and (options.show or options.explain):
            print(f"\nDigit {i} of {len(digits)}")
        if options.show:
            image = quantized(digit, ensemble.models[0].levels)
            print("", *framed(image, SIDE), sep="\n")
        if options.explain:
            print("", explanation(ensemble, digit, SIDE, names, options.unit), sep="\n")
    if several:
        print("", *row_lines(answers, names), "", sep="\n")
        print(f"Answer: {answer_text(answers, names)}\n")
    else:
        if not options.explain:
            print("", *bar_lines(answers[0], names), sep="\n")
        print(f"\nAnswer: {answer_text(answers, names)} ({max(answers[0]):.2%})\n")


# --- The test set ---------------------------------------------------------------------


def show_test(ensemble: Ensemble, test: Dataset, options: argparse.Namespace) -> None:
    """Print the evaluation of the whole test set, or draw it, or both."""
    live, total = LiveLine(), len(test) * len(ensemble.models)
    evaluation = ensemble.evaluate(test, lambda done: live.show(
        f"Reading {done:,}/{total:,} images"))
    live.clear()
    if options.json:
        print_json(evaluation_object(evaluation, test, ensemble.models))
        return
    if options.test:
        columns = shutil.get_terminal_size().columns
        print(*evaluation_lines(evaluation, test, columns), sep="\n")
    if options.pictures:
        draw_pictures(Path(options.pictures), ensemble.models[0], test, evaluation)
    print(models_text(ensemble.models))


def draw_pictures(folder: Path, model: Model, test: Dataset, evaluation: Evaluation
                  ) -> None:
    """Draw the model's pictures into a folder, made if need be, and say which."""
    from show import embedding, figures
    live = LiveLine()
    try:
        names = figures.draw_model(folder, model, test, evaluation,
                                   progress=live.show)
        names += embedding.draw_hidden_layer(
            folder, model, test, figures.foot_of(model, evaluation, test), live.show)
    except ImportError as error:
        raise OptionError(f"--pictures: {error}") from None
    finally:
        live.clear()
    print(f"Pictures in {shown_path(folder)}: {', '.join(names)}")


def show_shifts(ensemble: Ensemble, test: Dataset, options: argparse.Namespace) -> None:
    """Print the accuracy of each model on images moved by 0, 1, ... pixels."""
    live, columns = LiveLine(), []
    for number, model in enumerate(ensemble.models, 1):
        total = len(test) * (1 + 4 * options.shift)
        columns.append(shift_accuracies(model, test, options.shift, lambda done: (
            live.show(f"Model {number}: reading {done:,}/{total:,} images"))))
    live.clear()
    if options.json:
        print_json(shift_object(columns, test, ensemble.models))
    else:
        print(*shift_lines(columns, test), models_text(ensemble.models), sep="\n")


# --- The command ----------------------------------------------------------------------


def serve(ensemble: Ensemble, options: argparse.Namespace) -> int:
    """Serve the page to draw on, until Ctrl-C."""
    from show import page
    from show.watch import page_of
    model = ensemble.models[0]
    with page.make_server(model, options.port or 0, page_of(model)) as server:
        try:
            print(f"{models_text([model])}\nDraw on {server.url} (Ctrl-C ends)",
                  flush=True)
            if not options.no_browser:
                server.open_browser()
            server.serve_forever()
        except KeyboardInterrupt:
            pass
    return 0


def load_models(options: argparse.Namespace, data: str = "") -> Ensemble:
    """Return the models that are named, else the one for this data set."""
    if options.model:
        return Ensemble(map(Model.load, options.model))
    model, passed_over = find_model(data)
    if passed_over:
        print(f"Not taken, as it was not trained on all of {data or model.data}: "
              f"{model_text(passed_over)}; --model takes it", file=sys.stderr)
    return Ensemble([model])


def run(options: argparse.Namespace) -> int:
    """Answer as the options ask; returns the exit code."""
    if options.draw or options.image:
        ensemble = load_models(options)
        ensemble.models[0].check_form((SIDE * SIDE, len(ensemble.names)),
                                      f"for pictures of {SIDE} x {SIDE} pixels")
        return (serve if options.draw else show_files)(ensemble, options)
    test, = load_data(options.data, parts=("t10k",))
    ensemble = load_models(options, test.name)
    test = ensemble.named(test)
    if options.index is not None:
        show_index(ensemble, test, options)
    elif options.shift:
        show_shifts(ensemble, test, options)
    else:
        show_test(ensemble, test, options)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command("predict.py", lambda: run(parse(argv)))


if __name__ == "__main__":
    sys.exit(main())
