# SPDX-License-Identifier: MIT
"""Shared by the tests of the page: the server, and how the page is used."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from webdriver import Browser, Failed

PROGRAM, PICTURES = sys.argv[1:3]
TOKEN = "correct-horse-battery-staple"


class Server:
    running = []

    def __init__(self, *options, port=0, **environment):
        self.process = subprocess.Popen([PROGRAM, "--port", str(port), *options], stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **environment})
        Server.running.append(self)
        self.url = self.process.stdout.readline().split("/ ")[0]
        self.port = int(self.url.rsplit(":", 1)[1])

    def end(self):
        Server.running.remove(self)
        self.process.send_signal(signal.SIGTERM)
        self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait()

    def ask(self, method, key, value=None):
        """The value of a key, or none."""
        data = None if value is None else value.encode()
        url = f"{self.url}/entries?key={urllib.parse.quote(key, safe='')}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise


def check(what, condition):
    if not condition:
        raise Failed(what)


def keys(browser):
    """Those in the table, as they are seen."""
    return browser.run("return [...document.querySelectorAll('#rows td.key')].map((cell) => cell.textContent)")


def state(browser):
    return browser.run("return document.body.dataset.state")


def press(browser, key, action):
    """Clicks the button of a row."""
    browser.run("""const row = [...document.querySelectorAll('#rows tr')].find(
                     (one) => one.querySelector('td.key').textContent === arguments[0]);
                   [...row.querySelectorAll('button')].find((one) => one.textContent === arguments[1]).click();""",
                key, action)


def search(browser, prefix, expected):
    browser.type("#prefix", prefix)
    browser.press("Enter")
    browser.wait(f"the keys that start with {prefix!r}", lambda: keys(browser) == expected)


def search_all(browser):
    browser.run("document.getElementById('prefix').value = ''; document.getElementById('search').requestSubmit()")


def open_page(browser, url):
    browser.go(url)
    browser.wait("the page is live", lambda: state(browser) == "live")


def message(browser, text):
    browser.wait(f"the message {text!r}", lambda: text in browser.text("#message"))


# Of requests that are refused Chromium tells on its own; everything else is a fault of the page.
EXPECTED = ["Failed to load resource: the server responded with a status of 4", "net::ERR_CONNECTION_REFUSED"]


def run_tests(tests):
    """Runs `tests(browser, folder)`; the process ends with 77 for want of a browser."""
    if not shutil.which("chromedriver"):
        print("skipped for want of chromium and chromedriver")
        sys.exit(77)
    os.makedirs(PICTURES, exist_ok=True)
    folder = tempfile.mkdtemp()
    browser = Browser()
    try:
        tests(browser, folder)
        complaints = [line for line in browser.console() if not any(words in line for words in EXPECTED)]
        check(f"the browser complains: {complaints}", not complaints)
    except Failed as failure:
        browser.screenshot(f"{PICTURES}/failed.png")
        sys.exit(f"FAILED: {failure}")
    finally:
        for one in list(Server.running):
            one.end()
        browser.close()
        shutil.rmtree(folder)
