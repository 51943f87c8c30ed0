# SPDX-License-Identifier: MIT
"""A headless Chromium, by way of chromedriver and the WebDriver protocol (https://www.w3.org/TR/webdriver2)."""

import base64
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

PATIENCE = 30  # seconds until something that never comes is given up
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Tab": "\ue004", "Control": "\ue009", "Left": "\ue012"}


class Failed(Exception):
    """An error of the protocol; its first word tells which."""


class Browser:
    def __init__(self, width=1280, height=1000):
        self.folder = tempfile.mkdtemp(prefix="chromium.")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True,
                                       stderr=subprocess.DEVNULL)
        self.base = f"http://127.0.0.1:{self._port()}"
        self.session = ""
        try:
            self.session = "/session/" + self._ask("POST", "/session", self._wishes(width, height))["sessionId"]
        except BaseException:
            self.close()
            raise

    def close(self):
        try:
            if self.session:
                self._ask("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _port(self):
        for line in self.driver.stdout:
            found = re.search(r"successfully on port (\d+)", line)
            if found:
                return int(found[1])
        raise Failed("chromedriver does not start")

    def _wishes(self, width, height):
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync",
                     "--disable-dev-shm-usage", "--hide-scrollbars", f"--window-size={width},{height}",
                     f"--user-data-dir={self.folder}/profile"]
        return {"capabilities": {"alwaysMatch": {
            "unhandledPromptBehavior": "ignore",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": arguments}}}}

    def _ask(self, method, path, body=None):
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise Failed(f"{value['error']}: {value['message']}") from None

    def post(self, path, **body):
        return self._ask("POST", self.session + path, body)

    def get(self, path):
        return self._ask("GET", self.session + path)

    def go(self, url):
        self.post("/url", url=url)

    def run(self, script, *arguments):
        return self.post("/execute/sync", script=script, args=list(arguments))

    def find(self, css):
        return self.post("/element", using="css selector", value=css)[ELEMENT]

    def click(self, css):
        self.post(f"/element/{self.find(css)}/click")

    def text(self, css):
        return self.get(f"/element/{self.find(css)}/text")

    def type(self, css, text, clear=True):
        element = self.find(css)
        if clear:
            self.post(f"/element/{element}/clear")
        self.post(f"/element/{element}/value", text=text)

    def press(self, *keys):
        """Presses keys together, on whatever has the focus."""
        codes = [KEYS.get(key, key) for key in keys]
        actions = [{"type": "keyDown", "value": code} for code in codes]
        actions += [{"type": "keyUp", "value": code} for code in reversed(codes)]
        self.post("/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def keys(self, text):
        """Types on whatever has the focus."""
        for letter in text:
            self.press(letter)

    def prefer(self, scheme):
        self.post("/goog/cdp/execute", cmd="Emulation.setEmulatedMedia",
                  params={"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def resize(self, width, height):
        self.post("/window/rect", width=width, height=height)

    def screenshot(self, path):
        """Of the whole page, however long."""
        picture = self.post("/goog/cdp/execute", cmd="Page.captureScreenshot",
                            params={"captureBeyondViewport": True})["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture))

    def dialog_open(self):
        """Whether a script has opened one of the browser's own dialogs."""
        try:
            self.get("/alert/text")
            return True
        except Failed:
            return False

    def console(self):
        """What the browser has complained of since it was asked last."""
        return [entry["message"] for entry in self.post("/se/log", type="browser")]

    def wait(self, what, condition):
        """Until `condition()` is true; what it threw or returned last is told if that takes too long."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                last = condition()
                if last:
                    return last
            except Failed as error:
                last = error
            if time.monotonic() > end:
                raise Failed(f"waited in vain for: {what}; last: {last!r}")
            time.sleep(0.05)
