"""A headless Chromium for the tests of the page, driven through its DevTools protocol.

The protocol is JSON, a zero byte behind each message, through two pipes: Chromium reads
commands from its file 3 and writes results and events into its file 4.
https://chromedevtools.github.io/devtools-protocol/
"""
import base64
import json
import select
import shutil
import subprocess
import time
from pathlib import Path

NAMES = "chromium", "chromium-browser", "google-chrome"
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--no-default-browser-check", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--mute-audio", "--no-startup-window", "--remote-debugging-pipe")
CONTROLS = {"button", "slider", "listbox", "option", "application", "img", "image",
            "combobox", "list", "group", "table", "progressindicator"}
PATIENCE = 20.0     # seconds until something that should come is given up


def find_chromium():
    """The path of a Chromium on this machine, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A Chromium with one page in it; `problems` are what the page's console said."""

    def __init__(self, chromium, folder):
        self._process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1', "sh",
             chromium, *OPTIONS, f"--user-data-dir={folder}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._number, self._replies, self.problems = 0, {}, []
        self._received, self._session = b"", {}     # of the browser as a whole
        try:
            page = self.send("Target.createTarget", url="about:blank")["targetId"]
            self._session = {"sessionId": self.send(
                "Target.attachToTarget", targetId=page, flatten=True)["sessionId"]}
            for domain in ("Page", "Runtime", "Log"):
                self.send(f"{domain}.enable")
        except BaseException:       # even of Ctrl-C: no browser must be left running
            self._process.kill()
            self._process.wait()
            raise

    def close(self):
        """End the browser."""
        self._process.terminate()
        self._process.communicate()

    # --- the protocol

    def post(self, method, **parameters):
        """Send a command and do not wait; returns its number."""
        self._number += 1
        self._process.stdin.write(json.dumps(
            {"id": self._number, "method": method, "params": parameters,
             **self._session}).encode() + b"\0")
        return self._number

    def _message(self):
        """The next message of the browser."""
        pipe = self._process.stdout
        while b"\0" not in self._received:
            if not select.select([pipe], [], [], PATIENCE)[0]:
                raise TimeoutError("the browser says nothing more")
            content = pipe.read(1 << 20)            # unbuffered: what is there
            if not content:
                raise ConnectionError("the browser has ended")
            self._received += content
        text, _, self._received = self._received.partition(b"\0")
        return json.loads(text)

    def result(self, number):
        """The result of the command of that number; RuntimeError where it failed."""
        while number not in self._replies:
            message = self._message()
            if "id" in message:
                self._replies[message["id"]] = message
            elif message["method"] == "Runtime.exceptionThrown":
                self.problems.append(message["params"]["exceptionDetails"])
            elif message["method"] == "Log.entryAdded":
                self.problems.append(message["params"]["entry"])
        reply = self._replies.pop(number)
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["result"]

    def send(self, method, **parameters):
        """Send a command and wait for its result."""
        return self.result(self.post(method, **parameters))

    # --- what a person does

    def look(self, width, height, dark=False, phone=False, forced=False):
        """Set the size of the window and the theme; `forced` are Windows's contrast
        colours."""
        self._width = width
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=2 if phone else 1, mobile=phone)
        self.send("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        contrast = {"name": "forced-colors", "value": "active" if forced else "none"}
        self.send("Emulation.setEmulatedMedia", features=[scheme, contrast])

    def open(self, url, until):
        """Open a page and wait until the JavaScript `until` is true in it.

        Not before all scripts have run: `until` may name what they define.
        """
        self.send("Page.navigate", url=url)      # ends when the old page is gone
        self.wait(f"document.readyState === 'complete' && ({until})")

    def ask(self, expression):
        """The value of a JavaScript expression in the page; promises are waited for."""
        reply = self.send("Runtime.evaluate", expression=expression, returnByValue=True,
                          awaitPromise=True)
        if "exceptionDetails" in reply:
            raise RuntimeError(reply["exceptionDetails"])
        return reply["result"].get("value")

    def wait(self, expression):
        """Wait until a JavaScript expression is true in the page."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.ask(f"!!({expression})"):
                return
            time.sleep(0.02)
        raise TimeoutError(f"never true: {expression}; {self.problems}")

    def settle(self):
        """Wait until all has been asked and shown."""
        self.wait("!jobs")

    def text(self, selector):
        return self.ask(f"document.querySelector('{selector}').textContent")

    def texts(self, selector):
        return self.ask(f"[...document.querySelectorAll('{selector}')]"
                        ".map(element => element.textContent)")

    def count(self, selector):
        return self.ask(f"document.querySelectorAll('{selector}').length")

    def shows(self, selector):
        return self.ask(f"document.querySelector('{selector}').checkVisibility()")

    def scrolls_sideways(self):
        """Whether the page is wider than the window."""
        return self.ask("document.documentElement.scrollWidth") > self._width

    def names_of_controls(self):
        """The names that a screen reader tells, of all that can be used or looked at.
        """
        self.send("Accessibility.enable")
        tree = self.send("Accessibility.getFullAXTree")["nodes"]
        self.send("Accessibility.disable")
        return [node.get("name", {}).get("value") for node in tree
                if not node.get("ignored")
                and node["role"]["value"].lower() in CONTROLS]

    def box(self, selector):
        """(left, top, width, height) of an element inside its border, on the page."""
        return self.ask(f"""(() => {{
            const element = document.querySelector('{selector}');
            const box = element.getBoundingClientRect();
            return [box.left + element.clientLeft, box.top + element.clientTop,
                    element.clientWidth, element.clientHeight]; }})()""")

    def mouse(self, selector, events, pause=0.0, button="left"):
        """Events of the mouse, (kind, (x, y)) with x and y from 0 to 1 over an element.
        """
        left, top, width, height = self.box(selector)
        numbers = []
        for kind, (x, y) in events:
            numbers.append(self.post(
                "Input.dispatchMouseEvent", type=kind, x=left + x * width,
                y=top + y * height, button=button, buttons=int(button == "left"),
                clickCount=1))
            time.sleep(pause)
        for number in numbers:
            self.result(number)

    def draw(self, selector, strokes, pause=0.0):
        """Draw strokes, lists of (x, y) from 0 to 1, over an element with the mouse.

        With so many seconds of `pause` between the points.
        """
        events = []
        for stroke in strokes:
            kinds = ["mousePressed", *["mouseMoved"] * (len(stroke) - 1)]
            events += [*zip(kinds, stroke), ("mouseReleased", stroke[-1])]
        self.mouse(selector, events, pause)

    def scroll_to(self, selector):
        """Bring an element into the middle of the window."""
        self.ask(f"document.querySelector('{selector}')"
                 ".scrollIntoView({block: 'center'})")

    def click(self, selector):
        """Click into the middle of an element, which is scrolled to first."""
        self.scroll_to(selector)
        self.draw(selector, [[(0.5, 0.5)]])

    def press(self, selector):
        """Click an element, and wait until what follows from it is shown."""
        self.click(selector)
        self.settle()

    def hover(self, selector):
        """Bring the mouse over an element, which is scrolled to first."""
        self.scroll_to(selector)
        self.mouse(selector, [("mouseMoved", (0.5, 0.5))], button="none")

    def focus(self, selector):
        self.ask(f"document.querySelector('{selector}').focus()")

    def key(self, key, code=0, text="", modifiers=0, repeats=0):
        """Press a key, hold it for so many repeats and release it; `modifiers` 8 is
        Shift."""
        kinds = [("keyDown", text, False), *[("keyDown", text, True)] * repeats,
                 ("keyUp", "", False)]
        for kind, typed, again in kinds:
            self.send("Input.dispatchKeyEvent", type=kind, key=key, text=typed,
                      autoRepeat=again, modifiers=modifiers, windowsVirtualKeyCode=code)

    def screenshot(self, path, selector=None):
        """Save the window, or one element of the page, as PNG."""
        options = {}
        if selector:
            left, top, width, height = self.box(selector)
            options["clip"] = {"x": left, "y": top, "width": width, "height": height,
                               "scale": 1}
        shot = self.send("Page.captureScreenshot", format="png", **options)
        Path(path).write_bytes(base64.b64decode(shot["data"]))
