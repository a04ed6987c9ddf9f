"""A real Chromium for tests, spoken to over a pipe: no port, no other library.

Source: https://chromedevtools.github.io/devtools-protocol/, and the flag `--remote-debugging-pipe`,
by which Chromium reads JSON from file descriptor 3 and writes it to 4, a zero byte after each.
"""

import base64
import fcntl
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WAIT_S = 60.0
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--no-zygote",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)


class Page:
    """One page, and everything that it said and asked for."""

    def __init__(self, to: int, answers: int) -> None:
        self._to, self._answers = to, answers
        self._number = 0
        self._read = b""
        self._session: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": found["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(
        self,
        method: str,
        /,
        **parameters: Any,  # noqa: ANN401 (JSON)
    ) -> dict[str, Any]:
        """Ask for something and return the answer; what happens meanwhile is kept in `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        left = json.dumps(message).encode() + b"\0"
        while left:
            left = left[os.write(self._to, left) :]
        deadline = time.monotonic() + WAIT_S
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(self, path: Path, *, width: int = 1280, dark: bool = False) -> None:
        """Show a file in a window of some width and in a theme; forget what was before."""
        window = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **window)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.call("Emulation.setEmulatedMedia", media="screen", features=[theme, still])
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        deadline = time.monotonic() + WAIT_S
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self._next(deadline))

    def run(self, script: str) -> Any:  # noqa: ANN401 (what a script returns)
        """Return what a script returns, a promise's result included; it is JSON or nothing."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:2000])
        return found["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Press and release a key, such as `Tab`, 9."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text
            )

    def picture(self, *, height: int | None = None) -> bytes:
        """Return a PNG of the page from its top, down to a height or all of it."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "scale": 1}
        clip["height"] = min(height or size["height"], size["height"])
        found = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(found["data"])

    def pdf(self) -> bytes:
        """Return the page as it would be printed."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def requests(self) -> list[str]:
        """Return the address of everything that the page asked for but itself."""
        sent = [e["params"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [s["request"]["url"] for s in sent if s.get("type") != "Document"]

    def complaints(self) -> list[str]:
        """Return every message on the console, every exception and every logged problem."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(e["params"])[:500] for e in self.events if e.get("method") in kinds]

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select(
                [self._answers], [], [], max(0, deadline - time.monotonic())
            )
            more = os.read(self._answers, 1 << 20) if ready else b""
            if not more:
                raise TimeoutError("the browser ended or did not answer")
            self._read += more
        message, _, self._read = self._read.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


def serious(page: Page) -> list[list[str]]:
    """Return impact, rule and place of what axe finds serious, or worse."""
    found: list[list[str]] = page.run(
        "axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html]))"
    )
    return [v for v in found if v[0] in ("serious", "critical")]


@contextmanager
def page(binary: Path, folder: Path, variables: Mapping[str, str], fonts: Path) -> Iterator[Page]:
    """Start a browser with a profile of its own, and end it.

    Args:
        binary: Of Chromium.
        folder: An empty one, for the profile and for fonts.
        variables: Added to the environment.
        fonts: The folder of the only fonts that the browser sees.
    """
    (asked, ask), (heard, hear) = os.pipe(), os.pipe()
    far = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (asked, hear)]  # neither is 3 or 4
    process = subprocess.Popen(
        [
            *("bash", "-c", f'exec "$0" "$@" 3<&{far[0]} 4>&{far[1]}', binary, *_FLAGS),
            *(f"--user-data-dir={folder / 'profile'}", "about:blank"),
        ],
        env={**os.environ, "HOME": str(folder), **variables, **_only(fonts, folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=far,
        start_new_session=True,
    )
    for end in (asked, hear, *far):
        os.close(end)
    try:
        yield Page(ask, heard)
    finally:
        os.close(ask)
        os.close(heard)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def _only(fonts: Path, folder: Path) -> dict[str, str]:
    """Return the setting by which a browser sees DejaVu Sans only, the same on every machine."""
    others = ("Serif", "Condensed", "ExtraLight", "Math")
    rejected = "".join(f"<rejectfont><glob>*{one}*</glob></rejectfont>" for one in others)
    config = folder / "fonts.conf"
    config.write_text(
        f"<?xml version='1.0'?><fontconfig><dir>{fonts}</dir>"
        f"<selectfont>{rejected}</selectfont>"
        f"<cachedir>{folder / 'fonts'}</cachedir></fontconfig>",
        encoding="utf-8",
    )
    return {"FONTCONFIG_FILE": str(config)}
