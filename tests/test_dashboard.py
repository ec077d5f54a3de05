"""The dashboard, from made-up results to what a browser shows: offline, without errors, with the planted regression."""

import datetime
import functools
import http.server
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from _benchmarks import ROOT, run_python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="the tests lie outside a source tree"),
    *(
        pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")
        for name in ("asv", "jinja2")
    ),
]
COMMITS = 8
SLOW_SINCE = 5  # the kernel SLOW takes 1.5 times as long from this commit on
SLOW = ("'tanh_forward'", "'cython'", "'float32'", "'256x1024'")
KERNELS = tuple(f"'{name}'" for name in (
    "tanh_forward", "relu_forward", "matmul_nn", "matmul_nt", "matmul_tn", "adam_update", "softmax_forward", "sum_rows",
))  # fmt: skip
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def git(place, *arguments):
    done = subprocess.run(["git", *arguments], cwd=place, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def python(module, function, argument, folder):
    """Call a function of the benchmarks, which are imported before NumPy, in a process of its own."""
    program = f"import sys, pathlib, benchmarks.{module} as found; found.{function}(pathlib.Path(sys.argv[1]))"
    return run_python(folder, "-c", program, argument)


def seconds(name, values, commit):
    """Return a made-up figure; a hash of strings would change with the process."""
    size = 1e-6 * (1 + sum(map(ord, name + "".join(v for v in values if "num" not in v and "cython" not in v))) % 97)
    return size * (4 if "'numpy'" in values else 1) * (1.5 if values == SLOW and commit >= SLOW_SINCE else 1)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of a dashboard of results at COMMITS commits, and the hash of the slow one."""
    from asv.benchmarks import Benchmarks
    from asv.config import Config
    from asv.results import Results
    from asv.runner import BENCHMARK_RUN_SCRIPT, BenchmarkResult

    place = tmp_path_factory.mktemp("site")
    git(place, "init", "-q", "-b", "main")
    for setting in ("user.name=Nobody", "user.email=nobody@example.invalid"):
        git(place, "config", *setting.split("="))
    hashes = []
    for k in range(COMMITS):
        git(place, "commit", "-q", "--allow-empty", "-m", "A slower tanh" if k == SLOW_SINCE else f"Commit number {k}")
        hashes.append(git(place, "rev-parse", "HEAD"))
    shutil.copy(ROOT / "asv.conf.json", place)
    config = Config.load(str(place / "asv.conf.json"))
    config.results_dir, config.benchmark_dir = str(place / config.results_dir), str(ROOT / config.benchmark_dir)
    found = place / "benchmarks.json"
    command = [sys.executable, BENCHMARK_RUN_SCRIPT, "discover", config.benchmark_dir, str(found)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": ""}
    subprocess.run(command, check=True, cwd=place, env=environment, stdout=subprocess.DEVNULL)
    Path(config.results_dir, "machine").mkdir(parents=True)
    benchmarks = Benchmarks(config, json.loads(found.read_text()))
    benchmarks.save()
    machine = {"machine": "machine", "cpu": "A CPU", "num_cpu": "2", "os": "Linux", "arch": "x86_64", "ram": "1"}
    Path(config.results_dir, "machine", "machine.json").write_text(json.dumps({**machine, "version": 1}))
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    for k, commit in enumerate(hashes):
        date = int(1000 * (start + datetime.timedelta(days=k)).timestamp())
        results = Results({**machine, "python": "3.11"}, {}, commit, date, "3.11", "env", {})
        for name, benchmark in benchmarks.items():
            every = list(itertools.product(*benchmark["params"]))
            few = "kernel" in benchmark["param_names"]
            values = [None if few and v[0] not in KERNELS else seconds(name, v, k) for v in every]
            none = [None] * len(values)
            results.add_result(benchmark, BenchmarkResult(values, none, none, 0, "", None))
        results.save(config.results_dir)
    done = python("dashboard.publish", "publish", place / "asv.conf.json", folder=place)
    if "npm is needed" in done.stderr:
        pytest.skip("npm is not installed")
    assert done.returncode == 0, done.stderr
    return place / config.html_dir, hashes[SLOW_SINCE]


def test_the_first_page_tells_all(site):
    html, slow = site
    text = (html / "index.html").read_text()
    assert "A CPU, 2 CPUs" in text and "8" in text and "Every kernel of the table" in text
    regressions = text[text.index('<section id="regressions">') : text.index('<section class="place">')]
    assert "tanh_forward, cython, float32, 256x1024" in regressions and "1.50" in regressions
    assert slow[:8] in regressions and "A slower tanh" in regressions
    assert regressions.count("<tr>") == 2  # a head and one regression
    # numpy takes four times as long as the others, in what was made up
    assert "numba: 4 times as fast as numpy in the geometric mean of 42" in text
    # a train step beside the script's, of which the made-up time is another
    assert text.count("<polyline") > 60


def test_nothing_is_loaded_from_elsewhere(site):
    html, _ = site
    for page in ("index.html", "asv.html", "commits.html"):
        text = (html / page).read_text()
        for attribute in ('src="', '<link rel="stylesheet" href="'):
            for start in text.split(attribute)[1:]:
                address = start.split('"')[0]
                assert (html / address).exists(), f"{page} loads {address}"
    licences = (html / "vendor" / "LICENCES.txt").read_text()
    for package in ("jquery 3.3.1", "bootstrap 3.1.1", "jquery.flot 0.8.3", "blueimp-md5 2.19.0"):
        assert package in licences


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address(site):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site[0])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium, address, tmp_path):
    """A tab that remembers what went wrong; `FASTBP_SCREENSHOTS` names a folder for a picture of its end."""
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    wrong = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # what a page still asks for when it is left is aborted
    aborted = "net::ERR_ABORTED"
    page.on("requestfailed", lambda r: None if r.failure == aborted else wrong.append(f"{r.failure}: {r.url}"))
    page.on("response", lambda answer: wrong.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None)
    page.on("request", lambda request: None if request.url.startswith(address) else wrong.append(request.url))
    page.wrong = wrong
    yield page
    if folder := os.environ.get("FASTBP_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{page.title().split(':')[0]}-{len(os.listdir(folder))}.png")
    context.close()
    assert not wrong


def test_first_page_in_a_browser(tab, address, site):
    tab.goto(f"{address}/index.html")
    assert "how fast it is" in tab.inner_text("h1")
    assert tab.inner_text("#regressions tbody tr td:nth-child(4)") == "1.50"
    # a long table opens, and shows the rows that are asked for
    tab.click("section.place summary")
    field = tab.locator("details[open] input")
    rows = tab.locator("details[open] tbody tr:visible")
    every = rows.count()
    field.fill("tanh_forward float64")
    assert 0 < rows.count() == 3 < every
    tab.click("#regressions tbody a >> nth=0")
    tab.wait_for_selector("#main-graph canvas.flot-base")
    assert tab.inner_text("#title") == "bench_kernels.Kernels.time_kernel"


def test_grid(tab, address):
    tab.goto(f"{address}/asv.html")
    tab.wait_for_selector("#summarygrid-display .benchmark-container")
    assert tab.locator("#summarygrid-display .benchmark-container").count() > 10
    assert tab.locator("nav").inner_text().splitlines()[-1] != ""
    tab.click("text=Overview")
    assert tab.url.endswith("index.html")


def test_graph_has_its_points(tab, address):
    tab.goto(f"{address}/asv.html#bench_training.TrainOnBatch.time_train_on_batch")
    tab.wait_for_selector("#main-graph canvas.flot-base")
    series = tab.evaluate(
        "$('#main-graph').data('plot').getData().map(s => s.data.filter(p => p !== null && p[1] !== null).length)"
    )
    assert series and max(series) >= COMMITS
    drawn = tab.evaluate(
        "(() => { const c = document.querySelector('#main-graph canvas.flot-base');"
        "return new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size })()"
    )
    assert drawn > 2
    tab.click("#log-scale")


def test_list(tab, address):
    tab.goto(f"{address}/asv.html#/summarylist")
    tab.wait_for_selector("#summarylist-body table tbody tr")
    assert tab.locator("#summarylist-body table tbody tr").count() > 50


def test_regressions(tab, address, site):
    tab.goto(f"{address}/asv.html#/regressions")
    tab.wait_for_selector("#regressions-body table tbody tr")
    text = tab.inner_text("#regressions-body")
    assert "tanh_forward" in text and site[1][:8] in text
    tab.click(f"text={site[1][:8]}")


def test_commits(tab, address, site):
    tab.goto(f"{address}/commits.html#{site[1]}")
    assert "A slower tanh" in tab.inner_text(f"tr:has([id='{site[1]}'])")


def test_a_page_that_asks_for_other_files_is_refused(tmp_path):
    (tmp_path / "index.html").write_text('<script src="https://example.invalid/new.min.js"></script>')
    done = python("dashboard.vendor", "vendor", tmp_path, folder=tmp_path)
    assert re.search(r"RuntimeError: .* other files than those vendored here: .*new\.min\.js", done.stderr)
