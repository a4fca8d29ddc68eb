"""Run what stands in the project's pages, README.md and lessons, and compare.

What a fenced block is taken for:

    console     a line that begins with "$ " is a command, the lines below it are what
                it prints; with no such lines it only has to succeed
    python      a file, where the line above it names one and ends with a colon:
                "Create `x.py`:" writes it, "Append to `x.py`:" lengthens it, and
                "Put into `x.py`:" writes and runs it; else a program, which goes on
                where the one before it below the same heading ends
    output      what the file before it prints
    text        shown and not run

Below the heading "## Exercise" Python is where the reader begins and is not run, and
output is what the solution prints: lessons/solutions/03.py for lessons/03-....md.

All is run from top to bottom in a copy of the repository, by the Python that runs the
tests.  Where it says so at the end of a command, or of the first line of a file,
"# 3 minutes", it takes so long on two cores; what takes more than 10 s is run with
`pytest --long` only.  A command that reads MNIST is run where there is one, one with
"# needs FILE" (or a package's name) where that is.  One that prints a line of an error
ends with code 2.

Before outputs are compared, blanks at line ends go, the MASKS are laid over both, and
after a command with "numbers will differ" every number becomes #, and lines that only
some Pythons have are left out.  A line "..." stands for any number of lines.
"""
import ast
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = {"console", "python", "output", "text"}
LONG = 10                                           # seconds
THIRD_PARTY = ("numpy", "torch")
MASKS = [(r"\d+\.\d s\b", "# s"), (r"\b\d+ process(es)?\b", "# processes"),
         (r"(http://127\.0\.0\.1:)\d+", r"\1#")]
NOT_EVERYWHERE = ("math.sumprod", "NumPy", "No module", " left")


class Item(NamedTuple):
    """A command or a block of Python."""

    page: str
    line: int           # where it begins
    section: int        # line of its heading
    kind: str           # "console", "python", "create", "append" or "put"
    text: str
    expected: str = ""
    file: str = ""

    def __str__(self):
        start = self.text.splitlines()[0][:60]
        return f"{self.page}:{self.line}: {start}"


# --- parsing

def blocks(text):
    """Yield (line, line of the heading, language, text) of each fenced block."""
    section, opened = 0, None
    for number, line in enumerate(text.splitlines(), 1):
        if opened is None:
            section = number if line.startswith("#") else section
            if line.startswith("```"):
                opened, language, inside = number, line[3:], []
        elif line == "```":
            yield opened + 1, section, language, "\n".join(inside) + "\n"
            opened = None
        else:
            inside.append(line)
    assert opened is None, f"the block of line {opened} has no end"


def file_of(lines, line):
    """Return ("put", "try.py") for a block below "Put into `try.py`:", else ("", "").
    """
    above = next(filter(None, reversed(lines[:line - 2])), "")
    found = re.match(r"(Create|Append|Put)(?: to| into|) `([\w./]+)`.*:$", above)
    return (found[1].lower(), found[2]) if found else ("", "")


def items(path):
    """Return all that is to be run on one page."""
    page, found = path.relative_to(ROOT).as_posix(), []
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for line, section, language, block in blocks(text):
        where, is_exercise = (page, line, section), lines[section - 1] == "## Exercise"
        if language == "console":
            found += [Item(*where, language, *pair) for pair in re.findall(
                r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)]
        elif is_exercise and language == "python":
            compile(block, f"{page}:{line}", "exec")
        elif is_exercise and language == "output":
            solution = f"python {page.split('/')[0]}/solutions/{path.name[:2]}.py"
            found.append(Item(*where, "console", solution, block))
        elif language == "python":
            kind, file = file_of(lines, line)
            found.append(Item(*where, kind or "python", block, "", file))
        elif language == "output":
            assert found[-1].kind == "put", f"{page}:{line}: what prints this?"
            found[-1] = found[-1]._replace(expected=block)
    return found


# --- what stands in the way of running it

def seconds_of(text):
    """Return how long it takes by its own word, "# 3 minutes" or "# 5 s"; else 0."""
    found = re.search(r"# (?:.*?([\d.]+) )?(s|minutes?)\b", text.partition("\n")[0])
    return float(found[1] or 1) * (1 if found[2] == "s" else 60) if found else 0


def find_mnist():
    """Return the folder that holds MNIST on this machine, or None."""
    folders = (ROOT / "data" / "mnist", ROOT.parent / "shared" / "mnist")
    for folder in map(Path, filter(None, (os.environ.get("MNIST_DIR"), *folders))):
        if any(folder.glob("t10k-images*")):
            return str(folder.resolve())
    return None


def imported(program):
    """Yield the modules that a program imports."""
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def obstacle(item, long):
    """Return why an item cannot be run here, or ""."""
    if seconds_of(item.text) > LONG and not long:
        return "takes more than 10 s: pytest --long runs it"
    if "-m venv" in item.text:
        return "changes the shell that types it"
    needed = re.findall(r"#.*needs (\S+)", item.text)
    if item.kind != "console":
        needed += set(imported(item.text)) & set(THIRD_PARTY)
    elif (re.match(r"python3? (train|predict)\.py\b", item.text) and not find_mnist()
          and not re.search("--(data|image|draw)| list", item.text)):
        return "needs MNIST: name its folder by MNIST_DIR"
    needed += ["matplotlib"] * ("--pictures" in item.text)
    missing = [name for name in needed if not (ROOT / name).exists()
               and ("." in name or importlib.util.find_spec(name) is None)]
    return f"needs {' and '.join(missing)}" if missing else ""


# --- running it

class Course:
    """A copy of the repository in which the commands are typed, one after another."""

    def __init__(self, folder, long, items):
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(
            ".git", "__pycache__", ".*_cache", "runs", "mnist"))
        self.folder, self.long, self.items = folder, long, items
        self.results = {}
        self.environment = {
            **os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "80", "MNIST_DIR": find_mnist() or ""}

    def result(self, item):
        """Return (exit code, output) of an item, after what it needs.

        That is all that stands before it below its heading, and each file that was
        created or lengthened before.
        """
        for earlier in self.items[:self.items.index(item) + 1]:
            is_near = (earlier.page, earlier.section) == (item.page, item.section)
            if ((is_near or earlier.kind in ("create", "append"))
                    and earlier not in self.results
                    and not obstacle(earlier, self.long)):
                self.results[earlier] = self.run(earlier)
        return self.results[item]

    def run(self, item):
        """Return (exit code, what it prints on stdout and stderr).

        A file that is lengthened gets what comes two empty lines below it.
        """
        if item.file:
            with open(self.folder / item.file, "a" if item.kind == "append" else "w",
                      encoding="utf-8") as file:
                file.write("\n\n" * (item.kind == "append") + item.text)
        if item.kind in ("create", "append"):
            return 0, ""
        if item.kind == "console":
            return self.run_command(shlex.split(item.text, comments=True)[1:])
        words = [item.file] if item.file else ["-c", self.program(item)]
        return self.run_command(words)

    def program(self, item):
        """Return the Python blocks below a heading that can be run, down to an item."""
        return "\n".join(earlier.text for earlier in self.items
                         if earlier[:1] + earlier[2:4] == item[:1] + item[2:4]
                         and earlier.line <= item.line
                         and not obstacle(earlier, self.long))

    def run_command(self, words):
        """Return (exit code, what it printed on stdout and stderr)."""
        is_page = "--draw" in words                 # runs until Ctrl-C, and says so
        with subprocess.Popen(
                [sys.executable, *words, *["--no-browser"] * is_page], cwd=self.folder,
                env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, encoding="utf-8") as process:
            begun = ""
            while is_page and "Ctrl-C" not in begun and process.poll() is None:
                begun += process.stdout.readline()
            if is_page:
                process.send_signal(signal.SIGINT)
            try:
                rest, _ = process.communicate(timeout=3600 if self.long else 120)
            finally:
                process.kill()      # leaving "with" waits for it; if it has ended, fine
        return process.returncode, begun + rest


# --- comparing

def masked(text, differ):
    """Return the lines of an output without what changes from machine to machine."""
    for pattern, instead in MASKS:
        text = re.sub(pattern, instead, text)
    if differ:
        text = re.sub(r"[ \t]*\d[\d.]*(e-?\d+)?", " #", text)
    return [line.rstrip() for line in text.rstrip().splitlines()
            if not (differ and any(word in line for word in NOT_EVERYWHERE))]


def matches(lines, expected):
    """Return whether lines are as expected, "..." being any number of them."""
    pattern = "".join(r"(.*\n)*" if line == "..." else re.escape(line) + "\n"
                      for line in expected)
    return bool(re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)))


def check(item, code, printed):
    """Assert that an item ended as it should, with the output that stands below it."""
    is_error = re.match(r"(train|predict|check)\.py: ", item.expected)
    assert code == (2 if is_error else 0), printed
    if item.expected:
        differ = "numbers will differ" in item.text
        lines, expected = masked(printed, differ), masked(item.expected, differ)
        assert matches(lines, expected), printed


# --- the pages themselves

def outside_blocks(text):
    """Return the text of a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def broken_links(path):
    """Return the links of a page to files, and to headings, that are not there."""
    text = path.read_text(encoding="utf-8")
    broken = []
    for file, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", text):
        target = path.parent / file if file else path
        if not target.exists() or anchor and anchor not in anchors(target):
            broken.append(f"{file}#{anchor}")
    return broken


def anchors(path):
    """Return the names by which GitHub links to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", outside_blocks(
        path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
            for heading in headings}
