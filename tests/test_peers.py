"""The side-by-side benchmarks run and judge what they measured; how fast anything is, is not tested here."""

import json

import pytest
from _benchmarks import ROOT, run_python

PLACE = ROOT

pytestmark = pytest.mark.skipif(
    not (ROOT / "benchmarks").is_dir() or not (ROOT / "kernels").is_dir(), reason="not a checkout"
)


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """Make the folder of this module's processes."""
    global PLACE
    PLACE = tmp_path_factory.mktemp("place")


def run(*arguments):
    """Run a module of the benchmarks."""
    return run_python(PLACE, *arguments)


def check(program):
    """Run a few lines in which benchmarks are imported first."""
    done = run("-c", program)
    assert done.returncode == 0, done.stderr


def test_a_short_run_beside_numpy(tmp_path):
    """NumPy's losses are fastbp's, bit for bit, and every ratio has its spread."""
    file = tmp_path / "found.json"
    done = run(
        "-m", "benchmarks.peers", "--peers", "numpy,numpy_out", "--nets", "4-16-3 b32", "--what", "train,row",
        "--rounds", "2", "--seconds", "0.005", "--json", str(file),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "| NumPy, plain" in done.stdout
    report = json.loads(file.read_text())
    steps = [r for r in report["comparisons"] if r["what"] == "train"]
    assert {r["peer"] for r in steps} >= {"numpy", "numpy_out", "train_on_batch numpy"}
    assert all(r["same bits"] for r in steps if not r["peer"].endswith("portable"))
    for record in steps:
        for own in record["own"].values():
            low, high = own["ratio"]["quartiles"]
            assert 0 < low <= own["ratio"]["median"] <= high
    measured = {claim["key"] for claim in report["claims"] if claim["value"] is not None}
    assert "step/4-16-3 b32/numpy/numpy" in measured
    # its page, whose table stands in the README too
    pytest.importorskip("matplotlib")
    (tmp_path / "docs").mkdir()
    readme = tmp_path / "README.md"
    marks = "<!-- the table of python -m benchmarks.peers.page -->", "<!-- its end -->"
    readme.write_text("before\n{}\nold\n{}\nafter\n".format(*marks))
    done = run("-m", "benchmarks.peers.page", str(file), "--root", str(tmp_path))
    assert done.returncode == 0, done.stderr
    text, page = readme.read_text(), (tmp_path / "docs" / "peers.md").read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "\nold\n" not in text
    assert "| NumPy, plain " in text and "| fastbp fit, portable " in text and report["machine"]["cpu"] in text
    assert "### 4-16-3, batch 32: a train step" in page and "(peers-1.svg)" in page
    assert "<svg" in (tmp_path / "docs" / "peers-1.svg").read_text()
    assert run("-m", "benchmarks.peers.page", "--root", str(tmp_path)).returncode == 0 and readme.read_text() == text


@pytest.mark.skipif(not (ROOT / "docs" / "peers.json").exists(), reason="nothing was measured yet")
def test_the_texts_show_what_was_measured(tmp_path):
    """No figure in the README or on the page was typed, or is older than the others."""
    (tmp_path / "docs").mkdir()
    names = ("README.md", "docs/peers.md", "docs/peers.json")
    for name in names:
        (tmp_path / name).write_text((ROOT / name).read_text())
    done = run("-m", "benchmarks.peers.page", "--root", str(tmp_path))
    assert done.returncode == 0, done.stderr
    for name in names:
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), name


def test_scaling_writes_its_page(tmp_path):
    """The page names the command and the picture that lies beside it, and has the figures that the points have."""
    pytest.importorskip("matplotlib")
    files = [tmp_path / name for name in ("page.md", "picture.svg", "points.json")]
    page, picture, points = files
    done = run(
        "-m", "benchmarks.scaling", "--sweeps", "depth,batch", "--most", "2", "--peers", "numpy", "--rounds", "1",
        "--seconds", "0.001", "--markdown", str(page), "--plot", str(picture), "--json", str(points),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert done.stdout == text and "    python -m benchmarks.scaling --sweeps depth,batch" in text
    assert "(picture.svg)" in text and "<svg" in picture.read_text()
    found = json.loads(points.read_text())["points"]
    assert [(p["sweep"], p["value"]) for p in found] == [("depth", 1), ("depth", 2), ("batch", 1)]
    for point in found:
        assert set(point["us"]) >= {"fastbp numpy", "numpy"} and all(us > 0 for us in point["us"].values())
    assert text.count("\n| 1 ") == 2 and "| NumPy, plain |" in text


def test_scaling_refuses_a_folder_that_is_not_there(tmp_path):
    """Before it measures anything."""
    done = run("-m", "benchmarks.scaling", "--markdown", str(tmp_path / "nowhere" / "page.md"))
    assert done.returncode == 2 and "there is no folder" in done.stderr and not done.stdout


def test_what_differs_is_not_timed():
    """A library whose losses are not close is an error."""
    check("""
from benchmarks.peers.measure import Disagreement, agree
assert agree("train", "n", {"a": [1.0, 0.5], "b": [1.0, 0.5], "c": [1.0, 0.5001]}) == {"a": True, "b": True, "c": False}
for bad in ([1.0, 0.6], [1.0], [1.0, float("nan")]):
    try:
        agree("train", "n", {"a": [1.0, 0.5], "b": bad})
    except Disagreement:
        continue
    raise AssertionError(bad)
""")


def test_floor():
    """FLOPs by hand, for a step and for a row."""
    check("""
from benchmarks.peers.floor import flops
assert flops("train", "4-16-3 b32") == 2 * 32 * (3 * (4 * 16 + 16 * 3) - 4 * 16)
assert flops("row", "4-16-3 b32") == 2 * (4 * 16 + 16 * 3)
""")


def test_floor_of_images():
    """FLOPs of LeNet-5 by hand: there is no gradient of the images."""
    check("""
from benchmarks.peers.floor import flops
first, others = 24 * 24 * 25 * 6, 8 * 8 * 150 * 16 + 256 * 120 + 120 * 84 + 84 * 10
assert flops("train", "LeNet-5 b64") == 2 * 64 * (2 * first + 3 * others)
assert flops("row", "LeNet-5 b64") * 256 == flops("array", "LeNet-5 b64") == 2 * 256 * (first + others)
""")


def test_nets_of_images_have_the_same_parameters_everywhere():
    """fastbp's layers take what the words of shapes made, each in its place, and statistics where they begin."""
    check("""
from benchmarks.images import IMAGE_NETS, ImageTask
import numpy as np
for net in IMAGE_NETS:
    task = ImageTask(net)
    model, given = task.make_model("numpy"), task.initial_parameters(np.random.default_rng(1))
    placed = task.weights(model, given)
    assert len(placed) == len(given) + len(task.statistics)
    model.set_weights(placed)  # whose shapes are compared
    assert sum(w.size for w in placed if any(w is p for p in given)) == model.count_params()
    assert {id(w) for w in placed} >= {id(p) for p in given}
    y = model.predict(task.x[:2])
    assert y.shape == (2, 10) and np.isfinite(y).all()
""")


def test_a_short_run_of_images(tmp_path):
    """Losses are compared with PyTorch's before anything is timed; the page has a table of its own."""
    pytest.importorskip("torch")
    file = tmp_path / "found.json"
    done = run(
        "-m", "benchmarks.peers", "--images", "--peers", "torch_images", "--nets", "LeNet-5 b64", "--what", "train,row",
        "--rounds", "1", "--seconds", "0.01", "--json", str(file),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "differs" not in done.stdout and "LeNet-5, batch 64: a train step" in done.stdout
    report = json.loads(file.read_text())
    assert {(r["what"], r["net"]) for r in report["comparisons"]} == {(w, "LeNet-5 b64") for w in ("train", "row")}
    assert "step/LeNet-5 b64/best/portable" in {c["key"] for c in report["claims"] if c["value"] is not None}


def test_page_of_images(tmp_path):
    """Predictions stand beside train steps, and single layers below; a library that only predicts has its row."""
    check("""
from benchmarks.peers import page, report
from benchmarks.images import IMAGE_NETS
ratio = {"median": 3.0, "quartiles": [2.9, 3.1]}
def record(what, peer):
    own = {"portable": {"us": 1000.0, "ratio": ratio}}
    return {"what": what, "net": IMAGE_NETS[0], "peer": peer, "us": 3000.0, "same bits": False, "own": own}
found = {
    "images": True, "threads": 1, "rounds": 1, "notes": [], "machine": {"cpu": "a CPU", "peak": 1e11},
    "comparisons": [record("train", "tensorflow"), record("row", "onnxruntime"), record("array", "onnxruntime")],
    "floors": {f"{what}/{IMAGE_NETS[0]}": {"flops": 1e-3, "bytes": 1e-6} for what in ("train", "row", "array")},
    "layers": [{"layer": "a layer", "call": "dw", "flops": 1e7, "us": 200.0, "oneDNN us": 100.0, "ratio": 2.0}],
}
text = page.page([found])
lines = text.splitlines()
(row, *_) = [line.split("|") for line in lines if line.startswith("| onnxruntime, IOBinding")]
assert [cell.strip() for cell in row[2:-1]] == ["", "3000 (3)", "3000 (3)"]
assert "## Nets of images, on one thread" in text and "(images-1.svg)" in text
assert any(line.startswith("| a layer") and "50%" in line for line in lines), text
figures = report.figures(found)
assert figures["layers"] == 2 and figures[f"step/{IMAGE_NETS[0]}/best/portable"] == 3
assert page.summary([{**found, "images": False, "comparisons": []}, found]).count("Nets of images") == 1
""")


def test_claims():
    """A claim holds, fails, or was not measured; no figure is claimed twice in the same way."""
    check("""
from benchmarks.peers.claims import CLAIMS, Claim
least, most = Claim("", "k", "least", 2), Claim("", "k", "most", 2)
assert least.holds({"k": 2.0}) and not least.holds({"k": 1.9}) and least.holds({"k": 1.9}, 0.1)
assert most.holds({"k": 2.0}) and not most.holds({"k": 2.1}) and most.holds({}) is None
assert len({(claim.key, claim.bound) for claim in CLAIMS}) == len(CLAIMS)
""")


def test_the_environment_is_clean():
    """What steers BLAS does not reach a library, and the number of threads does."""
    check("""
import os
os.environ["OPENBLAS_CORETYPE"] = "Haswell"
import benchmarks
from benchmarks.peers.processes import environment
env = environment("numpy", 3)
assert "OPENBLAS_CORETYPE" not in env and env["OPENBLAS_NUM_THREADS"] == env["BENCHMARKS_THREADS"] == "3"
""")


def test_asv_times_both_numerics():
    """Results that are published keep their place in the lists; what is timed has the bits of its numerics."""
    check("""
from benchmarks import bench_kernels, bench_training
import numpy as np
from fastbp import kernels
classes = bench_kernels.Kernels, *(getattr(bench_training, n) for n in ("Fit", "TrainOnBatch", "Predict", "Compile"))
for timed in classes:
    assert timed.params[1] == ["numpy", "numba", "cython", "numba portable", "cython portable"], timed
found = {}
for backend in ("numpy", "cython", "cython portable"):
    run = bench_kernels.prepare(bench_kernels.KERNELS["tanh_forward"], backend, "float32", "32x16")
    found[backend] = run() if backend == "numpy" else run.arrays["y"]
    x = run.args[0] if backend == "numpy" else run.arrays["x"]
assert (found["cython"] == found["numpy"]).all() and (found["cython portable"] != found["numpy"]).any()
assert (found["cython portable"] == kernels.tanh_forward(x, numerics="portable")).all()
model = bench_training.make_model((4, 16, 3), "cython portable")
assert (model.backend, model.numerics) == ("cython", "portable")
try:
    bench_training.make_model((4, 16, 3), "cython portabel")
except NotImplementedError:
    pass
else:
    raise AssertionError
""")
