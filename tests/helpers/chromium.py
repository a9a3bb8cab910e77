"""A headless Chromium that tests drive through its DevTools protocol: nothing but the browser itself is needed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
START_SECONDS = 60.0
PATIENCE_SECONDS = 30.0
IDS = itertools.count(1)


def find() -> str | None:
    """The browser of this machine, if it has one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self._socket, self._session = socket, session
        self.errors: list[str] = []
        """What its console was told of as an error, uncaught exceptions and refused loads too."""
        self.requests: list[str] = []
        """Every address it asked for."""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol; raises ``RuntimeError`` with what the browser says against it."""
        asked = next(IDS)
        message = {"id": asked, "method": method, "params": params}
        await self._socket.send_json(message | ({"sessionId": self._session} if self._session else {}))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                said = await self._socket.receive_json()
                if said.get("id") == asked:
                    if "error" in said:
                        raise RuntimeError(f"{method}: {said['error']['message']}")
                    return dict(said["result"])
                self._heard(said)

    def _heard(self, said: dict[str, Any]) -> None:
        method, params = said.get("method"), said.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"].get("exception", params["exceptionDetails"])))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    async def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Return once an expression is true; raises ``TimeoutError``."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self.run(condition):  # noqa: ASYNC110  nobody tells, it has to be asked
                await asyncio.sleep(0.05)

    async def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """The width of the page itself, in CSS pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone
        )  # fmt: skip

    async def prefer(self, **features: str) -> None:
        """Media features: ``prefer(prefers_color_scheme="dark")``."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.call("Emulation.setEmulatedMedia", features=wanted)

    async def press(self, key: str) -> None:
        """One key, as a keyboard sends it."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            down = {"text": text} if text and kind == "keyDown" else {}
            code = "Space" if key == " " else key
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=code, windowsVirtualKeyCode=codes[key], **down
            )  # fmt: skip

    async def open(self, url: str, ready: str) -> None:
        """Load an address and wait for an expression to be true."""
        await self.call("Page.navigate", url=url)
        await self.until(f"document.readyState === 'complete' && ({ready})")

    async def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """A PNG, of the whole page or of what is in sight."""
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))


class Browser:
    """A browser with a profile of its own, both of which end with the ``with``."""

    def __init__(self, path: str) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [
                path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-extensions", "--disable-background-networking", "--remote-debugging-port=0",
                f"--user-data-dir={self._profile.name}", "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._profile.cleanup()

    async def _address(self) -> str:
        """Where its protocol is; the browser writes that down once it is up."""
        file = Path(self._profile.name) / "DevToolsActivePort"
        async with asyncio.timeout(START_SECONDS):
            while not (file.exists() and file.read_text().count("\n")):
                assert self._process.poll() is None, f"the browser ended with {self._process.poll()}"
                await asyncio.sleep(0.05)
        port, path = file.read_text().split()[:2]
        return f"ws://127.0.0.1:{port}{path}"

    @contextlib.asynccontextmanager
    async def page(self) -> AsyncIterator[Page]:
        """A new page that shares nothing with others; closed afterwards."""
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(await self._address(), max_msg_size=0) as socket,
        ):
            whole = Page(socket, "")
            context = (await whole.call("Target.createBrowserContext"))["browserContextId"]
            target = await whole.call("Target.createTarget", url="about:blank", browserContextId=context)
            attached = await whole.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            page = Page(socket, attached["sessionId"])
            try:
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await page.call(f"{domain}.enable")
                yield page
            finally:
                await page.call("Page.close")
