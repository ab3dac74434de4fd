"""A real TensorBoard over a log directory, asked over HTTP and looked at with a real browser."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

READY_SECONDS = 120
PAGE_SECONDS = 60
#: TensorBoard keeps this in the browser; more than a page of cards would be cut off.
CARDS_A_GROUP = 24

_DIRECTLY = build_opener(ProxyHandler({}))  # loopback is never behind a proxy

# What each chart on a page has drawn: custom elements nest in shadow roots, hence the walk.
_CHARTS = """
const drawn = [], chartElements = arguments[0];
const shapes = '.histogram path, path.area, .series-view svg path';  // and no axis
const isDrawn = path => (path.getAttribute('d') || '').length > 20;
function tagOf(chart) {
  const host = chart.getRootNode().host;
  if (host && host.tag) return host.tag;
  const card = chart.closest('histogram-card-component, scalar-card-component');
  const name = card && card.querySelector('tb-truncated-path');
  return name ? name.textContent.trim() : '';
}
function walk(root) {
  for (const element of root.querySelectorAll('*')) {
    if (chartElements.includes(element.localName)) {
      const inside = element.shadowRoot || element;
      const paths = [...inside.querySelectorAll(shapes)].filter(isDrawn);
      drawn.push({
        tag: tagOf(element),
        paths: paths.length,
        tall: paths.filter(path => path.getBBox().height > 1).length,
        different: new Set(paths.map(path => path.getAttribute('d'))).size,
        broken: paths.some(path => /NaN|Infinity/.test(path.getAttribute('d'))),
        labels: [...inside.querySelectorAll('svg text')].map(text => text.textContent),
      });
    }
    if (element.shadowRoot) walk(element.shadowRoot);
  }
}
walk(document);
return drawn;
"""
# What each text card of a page says, again across shadow roots.
_TEXT = """
const said = [];
function walk(root) {
  for (const element of root.querySelectorAll('*')) {
    if (element.localName === 'tf-markdown-view')
      said.push(...[...element.shadowRoot.querySelectorAll('h3, li, p')].map(e => e.textContent));
    if (element.shadowRoot) walk(element.shadowRoot);
  }
}
walk(document);
return said.join('\\n');
"""
_CHART_ELEMENTS = [
    "vz-histogram-timeseries",
    "vz-distribution-chart",
    "tb-histogram",
    "line-chart",
]


class Server:
    """TensorBoard's HTTP interface at an address."""

    def __init__(self, address):
        self.address = address

    def get(self, route, **query):
        """What a route answers, out of JSON."""
        suffix = f"?{urlencode(query)}" if query else ""
        with _DIRECTLY.open(f"{self.address}/data/{route}{suffix}", timeout=30) as answer:
            return json.load(answer)

    def post(self, route, question):
        """What a route answers to a question in JSON, out of JSON."""
        request = Request(
            f"{self.address}/data/{route}",
            json.dumps(question).encode(),
            {"Content-Type": "application/json"},
        )
        with _DIRECTLY.open(request, timeout=30) as answer:
            return json.load(answer)

    def tags(self, plugin):
        """Run to the set of tags that a plugin lists."""
        listed = self.get(f"plugin/{plugin}/tags")
        return {run: set(tags) for run, tags in listed.items()}


@contextmanager
def serve(log_dir, output, *, load_fast, plugin="histograms"):
    """Run TensorBoard over `log_dir` until the block ends.

    Args:
        log_dir: What to show; the pages name its last part only.
        output: File for what it prints.
        load_fast: Whether its data server, a program of its own, reads the files.
        plugin: What must have been read for it to be ready.
    """
    fast = "true" if load_fast else "false"
    options = [f"--logdir={log_dir.name}", "--host=127.0.0.1", "--port=0", f"--load_fast={fast}"]
    with open(output, "w", encoding="utf-8") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "tensorboard.main", *options],
            cwd=log_dir.parent,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _wait_until_ready(process, output, plugin)
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=30)


def _wait_until_ready(process, output, plugin):
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        server = _announced(output)
        try:
            if server and any(server.tags(plugin).values()):
                return server
        except (URLError, TimeoutError, ConnectionError, json.JSONDecodeError):
            pass  # not yet
        time.sleep(0.2)
    with open(output, encoding="utf-8") as printed:
        raise RuntimeError(f"TensorBoard is not ready; it printed:\n{printed.read()}")


def _announced(output):
    """The server at the address that TensorBoard prints: it chose a free port by itself."""
    with open(output, encoding="utf-8") as printed:
        for line in printed:
            if line.startswith("TensorBoard ") and " at http" in line:
                return Server(line.split(" at ")[1].split()[0].rstrip("/"))
    return None


@contextmanager
def browse(chromium, chromedriver, profile, *, size=(1400, 900)):
    """A headless browser with a fresh profile that talks to nobody by itself."""
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-3d-apis",  # without WebGL, line charts are drawn as SVG, which can be read
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--no-proxy-server",
        "--window-size={},{}".format(*size),
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    try:
        driver.set_page_load_timeout(PAGE_SECONDS)
        driver.set_script_timeout(PAGE_SECONDS)
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """A browser that knows TensorBoard's pages."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, server, page, tags):
        """Open a page, filtered to the tags that match a regular expression.

        Args:
            server: TensorBoard.
            page: `"histograms"`, `"distributions"` or `"timeseries"`.
            tags: The regular expression.
        """
        driver = self.driver
        driver.get(f"{server.address}/data/environment")  # of the same origin, for its storage
        settings = json.dumps({"paginationSize": CARDS_A_GROUP})
        driver.execute_script(
            "localStorage.setItem('_tb_global_settings', arguments[0]);"
            "localStorage.setItem('TF.TensorBoard.PaginatedView.limit', arguments[1]);",
            settings,
            str(CARDS_A_GROUP),
        )
        self.errors()  # what an earlier page said is not this one's fault
        query = urlencode({"tagFilter": tags})
        address = server.address
        driver.get(
            f"{address}/?{query}#timeseries"
            if page == "timeseries"
            else f"{address}/#{page}&{query}"
        )

    def charts(self):
        """What each chart of the page has drawn, by tag."""
        drawn = self.driver.execute_script(_CHARTS, _CHART_ELEMENTS)
        return {chart["tag"]: chart for chart in drawn if chart["tag"]}

    def wait_for(self, tags, shapes):
        """Wait until the charts of these tags have drawn so many shapes each, and return all."""

        def drawn(_):
            charts = self.charts()
            return all(tag in charts and charts[tag]["paths"] >= shapes for tag in tags)

        wait = WebDriverWait(self.driver, PAGE_SECONDS, poll_frequency=0.5)
        wait.until(drawn, message=f"expected {shapes} shapes in each of {sorted(tags)}")
        return self.charts()

    def text(self, server, words):
        """What the page Text says, when these words are there."""
        self.errors()
        self.driver.get(f"{server.address}/#text")
        wait = WebDriverWait(self.driver, PAGE_SECONDS, poll_frequency=0.5)

        def said(_):
            found = self.driver.execute_script(_TEXT)
            return found if words in found else ""

        found = wait.until(said, message=f"expected {words!r} on the page Text")
        assert self.errors() == []
        return found

    def wait_until(self, script, arguments, is_there):
        """What a script gives, as soon as that is what is waited for."""
        wait = WebDriverWait(self.driver, PAGE_SECONDS, poll_frequency=0.5)

        def found(_):
            given = self.driver.execute_script(script, *arguments)
            return given if is_there(given) else None

        return wait.until(found, message=f"expected other than what is there by {script}")

    def errors(self):
        """Messages of severity "severe" in the browser's console since the last call.

        But for the icon of the page, which TensorBoard lacks and browsers ask for now and then.
        """
        said = [entry["message"] for entry in self.driver.get_log("browser") if _is_severe(entry)]
        return [message for message in said if "/favicon.ico" not in message]


def _is_severe(entry):
    return entry["level"] == "SEVERE"
