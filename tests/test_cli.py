"""The command `fastbp`, in this process and in others."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from _arrays import needs_modules
from _command import QUICK, environment, in_a_process, needs_pandas, refuse, run

import fastbp
from fastbp import cli
from fastbp.cli import compare as comparing
from fastbp.cli import train as training
from fastbp.datasets import load_digits
from fastbp.io import load_history


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ------------------------------------------------------------------------------------ the main job


@needs_modules
@pytest.mark.parametrize("seed", range(3))
def test_the_digits(capsys, folder, seed):
    text = run(capsys, "train", "--quiet", "--seed", seed)
    accuracy = float(re.search(r"test accuracy  ([\d.]+) %", text)[1])
    assert accuracy >= 97
    assert "every bit of losses, weights and optimizer state equals the portable definition's" in text
    assert re.search(r"time a step +[\d.]+ us, NumPy [\d.]+ us", text)
    assert sorted(os.listdir()) == ["history.json", "model.npz"]
    _, x, _, y = load_digits(split=True)
    model = fastbp.load_model("model.npz")
    assert (model.predict(x).argmax(axis=1) == y).mean() == pytest.approx(accuracy / 100, abs=1e-4)
    history = load_history("history.json")
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert len(history["loss"]) == 50
    assert history["val_accuracy"][-1] == pytest.approx(accuracy / 100, abs=1e-4)


def test_gradient_norms_are_those_of_the_last_batch(capsys, monkeypatch):
    kept = []
    monkeypatch.setattr(training, "_tell_gradients", lambda output, net, tell=training._tell_gradients: (
        kept.append([[array.copy() for array in (layer.w, layer.b, layer.dw, layer.db)] for layer in net.layers]),
        tell(output, net)))
    text = run(capsys, "train", *QUICK)
    for number, (layer, size) in enumerate(zip(kept[0], ["64x8", "8x10"], strict=True), 1):
        line = next(line for line in text.splitlines() if line.startswith(f"dense_{number} "))
        assert line.split()[1] == size
        norms = [np.sqrt((array.astype(float) ** 2).sum()) for array in layer]
        assert [float(field) for field in line.split()[2:]] == pytest.approx(norms, rel=1e-3)


def test_same_command_same_files(capsys, folder):
    run(capsys, "train", *QUICK, "--no-compare", "--output", "a.npz", "--history", "a.json")
    run(capsys, "train", *QUICK, "--no-compare", "--output", "b.npz", "--history", "b.json")
    run(capsys, "train", *QUICK, "--no-compare", "--output", "c.npz", "--history", "c.json", "--seed", "1")
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes() != (folder / "c.npz").read_bytes()
    assert (folder / "a.json").read_bytes() == (folder / "b.json").read_bytes() != (folder / "c.json").read_bytes()


@needs_modules
@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--backend", "numba"], "every bit"),
        (["--backend", "numpy"], "nothing to compare"),
        (["--dtype", "float64", "--optimizer", "sgd", "--lr", "0.1"], "every bit"),
        (["--activation", "tanh", "--batch-size", "100", "--standardize"], "every bit"),
        (["--loss", "categorical_crossentropy", "--layers", ""], "every bit"),
        (["--loss", "mse", "--batch-size", "9999"], "every bit"),
        (["--loss", "kl_divergence", "--numerics", "numpy"], "and optimizer state equals NumPy's"),
        (["--task", "regression"], "R2"),
    ],
)
def test_options(capsys, options, line):
    if "numba" in options:
        pytest.importorskip("numba")
    text = run(capsys, "train", *QUICK, *options)
    assert line in text
    if "--loss" in options or "--task" not in options:
        assert "test accuracy" in text


@pytest.mark.parametrize("loss", ["mse", "kl_divergence", "categorical_crossentropy"])
def test_predictions_are_probabilities(capsys, loss):
    run(capsys, "train", "--quiet", "--epochs", "5", "--no-compare", "--loss", loss)
    x, y = load_digits()
    found = fastbp.load_model("model.npz").predict(x)
    assert found.min() >= 0 and np.allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found.argmax(axis=1) == y).mean() > 0.9


def test_arrays_need_no_pandas(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    x, y = load_digits()
    np.savez("data.npz", x=x, y=y)
    for data in ([], ["data.npz"]):
        run(capsys, "train", *data, *QUICK, "--no-compare")
        run(capsys, "evaluate", "model.npz", "data.npz")
        assert run(capsys, "predict", "model.npz", "data.npz").count("\n") == 1 + len(x)


def test_it_is_what_a_script_would_do(capsys):
    run(capsys, "train", *QUICK, "--seed", "3", "--activation", "tanh", "--batch-size", "50")
    x, x_test, y, y_test = load_digits(split=True)
    model = fastbp.Sequential([fastbp.Dense(8, activation="tanh"), fastbp.Dense(10)], seed=3)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"], numerics="portable")
    history = model.fit(x, y, batch_size=50, epochs=2, seed=3, verbose=0, validation_data=(x_test, y_test))
    for ours, theirs in zip(model.get_weights(), fastbp.load_model("model.npz").get_weights(), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert history.history == load_history("history.json")


@needs_modules
def test_comparison_within_a_budget(capsys, monkeypatch):
    monkeypatch.setattr(comparing, "BUDGET", 0.0)
    text = run(capsys, "train", *QUICK)
    assert "after 1 steps" in text


@needs_modules
@pytest.mark.parametrize("what", ["losses", "weights", "optimizer state"])
def test_a_wrong_bit_is_told(capsys, monkeypatch, what):
    def spoil(model, x, y, epochs, options, fit=comparing.timed_fit):
        seconds = fit(model, x, y, epochs, options)
        if model.backend == "numpy":
            if what == "losses":
                model.batch_losses[-1] = np.nextafter(model.batch_losses[-1], np.float32(0))
            elif what == "weights":
                model.layers[1].b[3] = np.nextafter(model.layers[1].b[3], np.float32(9))
            else:
                model.optimizer._state["v"][7] += np.float32(1e-30)
        return seconds

    monkeypatch.setattr(comparing, "timed_fit", spoil)
    monkeypatch.setattr(comparing, "BUDGET", 1000.0)
    assert cli.main(["train", *QUICK]) == 1
    assert f"NOT all equal to the portable definition's after 90 steps; different: {what}\n" in capsys.readouterr().out


@needs_modules
def test_a_wrong_bit_in_the_model_itself_is_told(capsys, monkeypatch):
    def spoil(output, net):
        net.layers[0].w[5, 5] = np.nextafter(net.layers[0].w[5, 5], np.float32(9))

    monkeypatch.setattr(training, "_tell_gradients", spoil)
    # the model itself is compared where the whole of its training can be repeated
    monkeypatch.setattr(comparing, "BUDGET", 1000.0)
    assert cli.main(["train", *QUICK]) == 1
    assert "different: weights\n" in capsys.readouterr().out


@needs_modules
def test_in_a_process_with_a_progress_bar(folder):
    done = in_a_process("train", "--epochs", "3", "--layers", "16")
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout
    assert "epoch 3/3" in done.stderr
    assert "val_accuracy" in done.stderr
    assert sorted(os.listdir()) == ["history.json", "model.npz"]
    assert in_a_process("train", "--epochs", "3", "--layers", "16", "--quiet").stderr == ""


@needs_modules
def test_errors_of_a_process(folder):
    done = in_a_process("train", "--epochs", "0", "--quiet")
    assert (done.returncode, done.stderr) == (2, "fastbp: epochs is 0; it must be at least 1\n")
    assert not os.listdir()


@needs_modules
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_leaves_the_old_files(folder):
    for name in ("model.npz", "history.json"):
        (folder / name).write_text("old")
    # a shell starts jobs in the background with SIGINT ignored, and they inherit that
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "fastbp", "train", "--epochs", "1000000", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=environment())
    signal.signal(signal.SIGINT, before)
    try:
        for expected in ("data ", "network "):  # then it trains
            assert process.stdout.readline().startswith(expected)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, error) == (130, "fastbp: interrupted\n")
    assert sorted(os.listdir()) == ["history.json", "model.npz"]
    assert (folder / "model.npz").read_text() == (folder / "history.json").read_text() == "old"


def test_versions_help_and_version(capsys):
    assert "numpy" in run(capsys, "versions")
    assert run(capsys, "--version") == f"fastbp {fastbp.__version__}\n"
    assert "train" in run(capsys)
    text = run(capsys, "train", "--help")
    for option in ("--layers", "--target", "--plot", "(default: 50)", "(default: adam)"):
        assert option in text


def test_import_stays_light():
    heavy = "argparse csv json zipfile matplotlib tqdm numba fastbp.io fastbp.datasets fastbp.cli"
    code = ("import sys, numpy; before = set(sys.modules); import fastbp;"
            f"print(*sorted(set('{heavy}'.split()) & (set(sys.modules) - before)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


# --------------------------------------------------------------------------------------------- plot


def test_plot(capsys, folder):
    pytest.importorskip("matplotlib")
    run(capsys, "train", *QUICK, "--plot")
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    run(capsys, "train", *QUICK, "--plot", "curves.svg")
    assert "<svg" in (folder / "curves.svg").read_text()


def test_plot_without_matplotlib(capsys, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    refuse(capsys, folder, r"--plot needs matplotlib: pip install matplotlib", "train", *QUICK, "--plot")


def test_plot_does_not_take_the_data_for_its_name(capsys, folder):
    (folder / "data.csv").write_text("a,b\n1,2\n")
    refuse(capsys, folder, "must end in .png", "train", *QUICK, "--plot", "data.csv")


# ---------------------------------------------------------------------------------------- own data


@pytest.fixture
def blobs():
    """Three classes that two features tell apart, on scales far from 1."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = rng.normal(size=(300, 2)) + 6 * np.array([[0, 0], [1, 0], [0, 1]])[y]
    return x * [1e-4, 1e4] + [5, -3e5], y


def note():
    with open("model.data.json", encoding="utf-8") as file:
        return json.load(file)


def predict(x):
    """Predict raw rows."""
    return fastbp.load_model("model.npz").predict(x)


def write_csv(path, header, *columns):
    lines = [",".join(header), *(",".join(map(str, row)) for row in zip(*columns, strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_npz(capsys, blobs):
    x, y = blobs
    np.savez("data.npz", x=x, y=y, unused=np.ones(3))
    text = run(capsys, "train", "data.npz", "--quiet", "--layers", "16,8", "--no-compare")
    assert "classification of 3 classes" in text
    assert (note()["task"], note()["classes"], note()["features"]) == ("classification", [0, 1, 2], ["x0", "x1"])
    assert (predict(x).argmax(axis=1) == y).mean() > 0.97


def test_npz_with_its_own_test_rows(capsys, folder, blobs):
    x, y = blobs
    np.savez("data.npz", x=x[:250], y=y[:250], x_test=x[250:], y_test=y[250:])
    text = run(capsys, "train", "data.npz", *QUICK, "--no-compare")
    assert "250 rows to train on, 50 to test" in text
    refuse(capsys, folder, "the file has x_test and y_test", "train", "data.npz", *QUICK, "--split-last")


def test_npy_pair_of_images_and_text_labels(capsys, blobs):
    x, y = blobs
    labels = np.array(["zebra", "ape", "größe"])[y]
    np.save("x.npy", x.reshape(300, 1, 2))
    np.save("y.npy", labels)
    run(capsys, "train", "x.npy", "y.npy", "--quiet", "--layers", "16", "--no-compare")
    assert note()["classes"] == ["ape", "größe", "zebra"]
    assert (np.array(note()["classes"])[predict(x).argmax(axis=1)] == labels).mean() > 0.97


@needs_pandas
@pytest.mark.parametrize("target", [None, "kind", "first"])
def test_csv(capsys, folder, blobs, target):
    x, y = blobs
    kinds = np.array(["red", '"dark, green"', "blue"])[y]
    header = ["first", " second ", "kind"] if target is None else ["kind", "first", " second "]
    columns = [x[:, 0], x[:, 1], kinds] if target is None else [kinds, x[:, 0], x[:, 1]]
    if target == "first":
        header, columns = header[1:], columns[1:]
    write_csv(folder / "data.csv", header, *columns)
    (folder / "data.csv").write_bytes(b"\xef\xbb\xbf" + (folder / "data.csv").read_bytes() + b"\n\n")
    options = ["--target", target] if target else []
    text = run(capsys, "train", "data.csv", *options, "--quiet", "--layers", "16", "--no-compare")
    if target == "first":
        assert (note()["task"], note()["features"], note()["target"]) == ("regression", ["second"], "first")
    else:
        assert (note()["features"], note()["target"]) == (["first", "second"], "kind")
        assert note()["classes"] == ["blue", "dark, green", "red"]
        assert float(re.search(r"test accuracy  ([\d.]+)", text)[1]) > 97


def test_regression_is_scaled_and_scaled_back(capsys):
    x = np.linspace(-3, 3, 400)
    y = 5e4 * np.sin(x) + 1e6
    np.save("x.npy", x)
    np.save("y.npy", y)
    text = run(capsys, "train", "x.npy", "y.npy", "--quiet", "--layers", "32,32", "--activation", "tanh",
               "--no-compare")  # fmt: skip
    assert float(re.search(r"R2 ([\d.]+)", text)[1]) > 0.95
    assert list(load_history("history.json")) == ["loss", "val_loss"]
    assert np.abs(predict(x[:, None])[:, 0] - y).mean() < 5e3


def test_constant_columns_stay_small(capsys):
    x = np.random.default_rng(0).normal(size=(100, 3))
    x[:, 1] = 0.1
    x[:, 2] = 0
    np.savez("data.npz", x=x, y=np.arange(100) % 2)
    text = run(capsys, "train", "data.npz", *QUICK, "--no-compare")
    assert [column["scale"] for column in note()["preparation"]["columns"]][1:] == [1, 1]
    assert text.count("constant") == 2


def test_regression_of_several_targets(capsys):
    x = np.random.default_rng(0).normal(size=(200, 3))
    np.savez("data.npz", x=x, y=x @ np.ones((3, 2)))
    assert "R2" in run(capsys, "train", "data.npz", *QUICK, "--no-standardize")
    assert note()["preparation"]["goal"]["mean"] == [0, 0]


def test_binary(capsys, blobs):
    x, y = blobs
    np.savez("data.npz", x=x, y=y > 0)
    text = run(capsys, "train", "data.npz", "--loss", "binary_crossentropy", "--quiet", "--no-compare")
    assert float(re.search(r"test accuracy  ([\d.]+)", text)[1]) > 97
    assert note()["classes"] == [False, True]
    assert fastbp.load_model("model.npz").layers[-1].w.shape == (256, 1)


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.arange(200) % 100, "regression"),
        (np.arange(500) % 100, "classification of 100 classes"),
        (np.arange(202) % 101, "regression"),
        (np.arange(200), "regression"),
        (np.arange(50) % 30, "regression"),
        (np.arange(200) % 2.0, "regression"),
        (np.arange(200) % 3 - 1, "classification of 3 classes"),
        (np.arange(200)[:, None] % 3, "classification of 3 classes"),
        (np.array([b"a", b"b"])[np.arange(200) % 2], "classification of 2 classes"),
    ],
)
def test_task_by_the_labels(capsys, y, task):
    np.savez("data.npz", x=np.random.default_rng(0).normal(size=(len(y), 2)), y=y)
    assert f", {task}\n" in run(capsys, "train", "data.npz", *QUICK, "--no-compare")


def test_task_by_request(capsys):
    np.savez("data.npz", x=np.eye(200)[:, :3], y=np.arange(200) % 2.0)
    assert ", classification of 2 classes\n" in run(capsys, "train", "data.npz", *QUICK, "--task", "classification")


# ----------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optimiser", "adam"], "no option '--optimiser'; did you mean '--optimizer'"),
        (["--optimizer", "adan"], "did you mean 'adam'"),
        (["--activation", "rellu"], "did you mean 'relu'"),
        (["--loss", "mean_square_error"], "did you mean 'mean_squared_error'"),
        (["--loss", "binary_crossentropy"], "two classes; y has 10"),
        (["--loss", "triplet_semi_hard"], "which makes embeddings and no classes; take a cross-entropy"),
        (["--loss", "triplet_margin"], "which makes embeddings and no classes; take a cross-entropy"),
        (["--loss", "contrastive"], "which makes no probabilities of classes; take a cross-entropy"),
        (["--loss", "hinge"], "which makes margins and no probabilities; take a cross-entropy"),
        (["--loss", "categorical_hinge"], "which makes scores and no probabilities; take a cross-entropy"),
        (["--loss", "gaussian_nll"], "which takes a variance beside each output; take a cross-entropy"),
        (["--task", "regression", "--loss", "gaussian_nll"], "a variance beside each output; a regression takes mean_"),
        (["--task", "regression", "--loss", "poisson"], "which takes numbers from 0 on, such as counts; targets are"),
        (["--task", "regression", "--loss", "kl_divergence"], "which is for classes; a regression takes mean_"),
        (["--task", "regression", "--loss", "cosine_similarity"], "for which 2 is as right as 1; a regression takes"),
        (["--task", "regression", "--class-weight", "balanced"], "class-weight is 'balanced'; the task is a regr"),
        (["--task", "regression", "--loss", "categorical_crossentropy"], "a regression takes mean_squared_error"),
        (["--task", "regressio"], "invalid choice"),
        (["--backend", "cyton"], "did you mean 'cython'"),
        (["--dtype", "float16"], "dtype is 'float16'"),
        (["--epochs", "0"], "epochs is 0"),
        (["--epochs", "x"], "--epochs"),
        (["--batch-size", "-1"], "batch_size is -1"),
        (["--layers", "8,0"], "units is 0"),
        (["--layers", "8,x"], "--layers: '8,x' is not sizes"),
        (["--lr", "0"], "lr is 0"),
        (["--lr", "nan"], "lr is nan"),
        (["--lr", "1e30", "--optimizer", "sgd"], "the loss is .* in epoch 1"),
        (["--seed", "-1"], "seed is -1"),
        (["--test-size", "0"], "test_size is 0"),
        (["--target", "y"], "--target is for a table, and there is no file"),
        (["--output", "no/model.npz"], "output is 'no/model.npz'"),
        (["--output", "."], "not a regular file"),
        (["--output", "history.json"], "history is 'history.json', which is output, too"),
        (["missing.npz"], "No such file or directory: missing.npz"),
        pytest.param(["missing.csv"], "No such file or directory: missing.csv", marks=needs_pandas),
        (["x.npy"], "the files are x.npy; they must be"),
        (["x.npy", "y.csv"], "the files are x.npy y.csv; they must be"),
    ],
)
def test_bad_options(capsys, folder, arguments, message):
    refuse(capsys, folder, message, "train", *QUICK, *arguments)


def test_outputs_are_looked_at_before_the_training(capsys, folder, monkeypatch):
    monkeypatch.setattr(fastbp.Sequential, "fit", lambda *_, **__: pytest.fail("it trains"))
    for option in ("--output", "--history"):
        refuse(capsys, folder, "not a regular file", "train", *QUICK, option, ".")
        refuse(capsys, folder, "not a directory to write in", "train", *QUICK, option, "no/file")


def test_bad_command(capsys, folder):
    refuse(capsys, folder, "invalid choice: 'trian'", "trian")


def test_output_over_an_input(capsys, folder):
    np.savez("model.npz", x=np.ones((4, 2)), y=[0, 1, 0, 1])
    refuse(capsys, folder, "output is 'model.npz', which is an input", "train", "model.npz", *QUICK)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_output_in_a_read_only_directory(capsys, folder):
    (folder / "sub").mkdir(mode=0o555)
    refuse(capsys, folder, "not a directory to write in", "train", *QUICK, "--output", "sub/model.npz")


@needs_pandas
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "its first line must be a header"),
        ("a\n1\n", "has the columns 'a'; it takes a feature and a target, with ',' between cells; --separator"),
        ("a,a\n1,2\n", "line 1: two columns have one name, 'a'"),
        ("1,2\n3,4\n", "line 1 .*numbers.*header"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n3\n", "line 3 has 1 cell and line 1 has 2"),
        ("a,b\nnan,2\n", "line 2, column 'a': 'nan' is not finite; --missing nan counts it as missing"),
        ("a,b\n1,\n2,1\n", "line 2: column 'b', the target, is missing, in 1 of 2 rows; --drop-missing-targets"),
        ("a,b\n1,2.5\n2,inf\n3,1.5\n", "line 3, column 'b': 'inf' is not finite"),
        ("a,b\n1,yes\n2,yes\n", "one class only, 'yes'"),
        ("a,b\n1,yes\n2,no\n", "nothing to divide"),
        (b"a,b\n\xff\xfe,1\n", "line 2, column 'a': byte 0xff is no text in UTF-8; --encoding latin-1"),
        ("a,b\n,1\n,2\n", "no column that a net could be given"),
    ],
)
def test_bad_csv(capsys, folder, content, message):
    (folder / "data.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    refuse(capsys, folder, message, "train", "data.csv", *QUICK)


@needs_pandas
def test_unknown_target(capsys, folder):
    (folder / "data.csv").write_text("length,width\n1,2\n")
    refuse(capsys, folder, "no such column; did you mean 'length'", "train", "data.csv", "--target", "lenght", *QUICK)


GOOD_X, GOOD_Y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": GOOD_X}, "no array 'y'; it has x"),
        ({}, "no array 'x'; it has none"),
        ({"x": GOOD_X, "y": GOOD_Y, "x_test": GOOD_X}, "no array 'y_test'"),
        ({"x": GOOD_X, "y": GOOD_Y[1:]}, "x has 20 rows and y has 19"),
        ({"x": GOOD_X.astype(str), "y": GOOD_Y}, "x is <U32"),
        ({"x": GOOD_X * 1j, "y": GOOD_Y}, "x is complex128"),
        ({"x": np.zeros((0, 2)), "y": GOOD_Y[:0]}, r"x is float64 of shape \(0, 2\)"),
        ({"x": np.zeros((20, 0)), "y": GOOD_Y}, r"x is float64 of shape \(20, 0\)"),
        ({"x": 1.0, "y": 2.0}, r"x is float64 of shape \(\)"),
        ({"x": np.where(GOOD_X > 1, np.nan, GOOD_X), "y": GOOD_Y}, r"x\[\d+, \d\] is nan"),
        ({"x": GOOD_X, "y": np.where(GOOD_Y, 0.5, np.nan)}, r"y\[0\] is nan"),
        ({"x": GOOD_X, "y": GOOD_Y.astype(complex)}, "y is complex128"),
        ({"x": GOOD_X, "y": np.zeros((20, 1, 1))}, r"y is float64 of shape \(20, 1, 1\)"),
        ({"x": GOOD_X, "y": np.zeros(20, int)}, "one class only, 0"),
        ({"x": GOOD_X, "y": GOOD_Y, "x_test": GOOD_X[:, :1], "y_test": GOOD_Y}, "do not fit"),
        ({"x": GOOD_X, "y": GOOD_Y, "x_test": GOOD_X, "y_test": GOOD_Y + 1}, "is the label 2, which the training"),
        ({"x": GOOD_X, "y": np.array([None] * 20)}, r"array 'y' of .* cannot be .*: Object arrays.*; y\.astype\(str\)"),
    ],
)
def test_bad_arrays(capsys, folder, arrays, message):
    np.savez(folder / "data.npz", **arrays)
    refuse(capsys, folder, message, "train", "data.npz", *QUICK)


@pytest.mark.parametrize(("task", "y"), [("classification", np.eye(20)), ("regression", GOOD_Y.astype(str))])
def test_task_against_the_labels(capsys, folder, task, y):
    np.savez("data.npz", x=GOOD_X, y=y)
    refuse(capsys, folder, "one label a row|takes numbers", "train", "data.npz", "--task", task, *QUICK)


@pytest.mark.parametrize("data", [b"", b"PK\3\4 and no more", b"\x80\x04N.", b"\x93NUMPY\x01\x00v\x00{'descr': "])
@pytest.mark.parametrize("names", [["bad.npz"], ["bad.npy", "bad.npy"]])
def test_damaged_arrays(capsys, folder, data, names):
    (folder / names[0]).write_bytes(data)
    refuse(capsys, folder, f"{names[0]} cannot be read", "train", *names, *QUICK)


def test_a_member_that_is_no_array(capsys, folder):
    with zipfile.ZipFile(folder / "data.npz", "w") as file:
        file.writestr("x", "text")
        file.writestr("y", "text")
    refuse(capsys, folder, "x is .*S4", "train", "data.npz", *QUICK)


def test_a_write_that_fails(capsys, folder, monkeypatch):
    (folder / "model.npz").write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refuse(capsys, folder, "No space left on device", "train", *QUICK)
