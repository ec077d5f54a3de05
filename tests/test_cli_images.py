"""The command `fastbp` on images: arrays, folders, and the net that tells them apart."""

import csv
import io
import json
import os
import shutil
import sys

import numpy as np
import pytest
from _arrays import assert_same_bits, needs_modules
from _benchmarks import ROOT, run_python
from _command import refuse, run

import fastbp
from fastbp import layers
from fastbp.cli.images import scale_of
from fastbp.io import load_history

#: The definition, which is quick enough for some images.
QUICK = ["--net", "lenet", "--quiet", "--epochs", "4", "--layers", "16", "--batch-size", "10"]
QUICK += ["--lr", "0.01", "--backend", "numpy", "--numerics", "numpy", "--no-compare"]
CLASSES = ["across", "down", "slant"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def strokes(n=60, size=16, seed=0):
    """Return images of one stroke each, uint8, and which way it goes."""
    rng = np.random.default_rng(seed)
    x, y = np.zeros((n, size, size), np.uint8), np.arange(n) % 3
    along = np.arange(size)
    for image, way, at in zip(x, y, rng.integers(3, size - 3, n), strict=True):
        image[(np.full(size, at), along, along)[way], (along, np.full(size, at), along)[way]] = 255
    return x + rng.integers(0, 40, x.shape).astype(np.uint8) * (x == 0), y


def write_folder(path, x, y, suffix=".png", mode=None):
    image = pytest.importorskip("PIL.Image", reason="the package pillow is not installed")
    for k, (pixels, label) in enumerate(zip(x, y, strict=True)):
        inside = path / CLASSES[label]
        inside.mkdir(parents=True, exist_ok=True)
        one = image.fromarray(pixels)
        (one if mode is None else one.convert(mode)).save(inside / f"{k:03}{suffix}")


def rows_of(text):
    return list(csv.reader(io.StringIO(text)))


# ------------------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("shape", [(60, 16, 16), (60, 16, 16, 1)])
def test_arrays(capsys, shape):
    x, y = strokes()
    np.savez("images.npz", x=x.reshape(shape), y=y)
    text = run(capsys, "train", "images.npz", *QUICK)
    mean, scale = scale_of(x[np.ones(60, bool)])
    assert "48 rows to train on, 12 to test, classification of 3 classes" in text
    assert "images         16x16 pixels, 1 channel, whole numbers: (x - " in text
    assert "network        16x16x1-lenet-16-3, relu, " in text
    assert [line.split()[1] for line in text.splitlines() if line.startswith(("conv2d_", "dense_"))] == [
        "5x5x1x6", "5x5x6x16", "16x16", "16x3"]  # fmt: skip
    assert 0 < mean < scale < 255
    net = fastbp.load_model("model.npz")
    assert net.input_shape == (16, 16, 1)
    assert net.metadata["images"]["targets"]["classes"] == [0, 1, 2]
    assert net.metadata["options"]["net"] == "lenet" and net.metadata["options"]["layers"] == [16]
    assert len(load_history("history.json")["val_accuracy"]) == 4
    with open("model.data.json", encoding="utf-8") as file:
        assert json.load(file)["classes"] == [0, 1, 2]

    scores = json.loads(run(capsys, "evaluate", "model.npz", "images.npz", "--json"))["scores"]
    outputs = net.predict(x.reshape(60, 16, 16, 1))
    assert scores["accuracy"] == (outputs.argmax(axis=1) == y).mean() > 0.9
    names, *rows = rows_of(run(capsys, "predict", "model.npz", "images.npz"))
    assert names == ["prediction", "p_0", "p_1", "p_2"]
    assert [int(row[0]) for row in rows] == outputs.argmax(axis=1).tolist()


def test_it_is_what_a_script_would_do(capsys):
    x, y = strokes()
    np.savez("images.npz", x=x[:45], y=y[:45], x_test=x[45:], y_test=y[45:])
    run(capsys, "train", "images.npz", *QUICK, "--seed", "3", "--activation", "tanh")
    mean, scale = scale_of(x[:45])
    model = fastbp.Sequential(
        [
            layers.Rescaling(1 / scale, offset=-mean / scale),
            layers.Conv2D(6, 5, activation="tanh"), layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, activation="tanh"), layers.MaxPooling2D(2),
            layers.Flatten(), layers.Dense(16, activation="tanh"), layers.Dense(3),
        ],
        input_shape=(16, 16, 1),
        seed=3,
    )  # fmt: skip
    model.compile(
        fastbp.optimizers.Adam(lr=0.01), "sparse_categorical_crossentropy", ["accuracy"], "numpy", numerics="numpy"
    )
    x = x[..., None]
    history = model.fit(x[:45], y[:45], batch_size=10, epochs=4, seed=3, verbose=0, validation_data=(x[45:], y[45:]))
    for ours, theirs in zip(model.get_weights(), fastbp.load_model("model.npz").get_weights(), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert history.history == load_history("history.json")


@needs_modules
def test_every_bit_is_numpys(capsys):
    x, y = strokes(30)
    np.savez("images.npz", x=x, y=y)
    text = run(capsys, "train", "images.npz", "--net", "lenet", "--epochs", "1", "--layers", "8", "--quiet")
    assert "every bit of losses, weights and optimizer state equals the portable definition's after 1 steps" in text


def test_scale_of_pixels():
    rng = np.random.default_rng(0)
    for x in (rng.integers(0, 256, (7, 5, 4, 3)).astype(np.uint8), rng.normal(size=(7, 5, 4, 3))):
        assert scale_of(x) == pytest.approx((x.mean(dtype=float), x.std(dtype=float)), rel=1e-12)
        if x.dtype == np.uint8:
            assert scale_of(x.astype(np.float32)) == pytest.approx(scale_of(x), rel=1e-15)
    assert scale_of(np.full((2, 3, 3, 1), 7, np.uint8)) == (7.0, 1.0)


@pytest.mark.parametrize(
    ("dtype", "factor", "options", "line"),
    [
        ("float32", 1 / 255, [], "fractions: (x - 0.1"),
        ("float64", 1.0, ["--no-standardize"], "fractions: (x - 0) / 1\n"),
        ("uint8", 1, ["--no-standardize"], "whole numbers: (x - 0) / 255\n"),
        ("int64", 1, ["--no-standardize"], "whole numbers: (x - 0) / 255\n"),
        ("uint16", 256, ["--no-standardize"], "whole numbers: (x - 0) / 1\n"),
        ("bool", 1, [], "whole numbers: (x - "),
    ],
)
def test_pixels_of_any_type(capsys, dtype, factor, options, line):
    x, y = strokes()
    x = (x > 99) if dtype == "bool" else (x * np.float64(factor)).astype(dtype)
    np.savez("images.npz", x=x, y=np.array(CLASSES)[y])
    assert line in run(capsys, "train", "images.npz", *QUICK, *options)
    assert "accuracy" in run(capsys, "evaluate", "model.npz", "images.npz")


def test_colours_numbers_and_folds(capsys):
    x, _ = strokes(40)
    x = np.stack([x, 255 - x, x // 2], axis=-1)
    np.save("x.npy", x)
    np.save("y.npy", x.mean(axis=(1, 2, 3)) * 100)
    text = run(capsys, "train", "x.npy", "y.npy", *QUICK, "--folds", "2")
    assert "3 channels" in text and "40" not in text.splitlines()[0].split()[1]
    assert "regression" in text and "2 folds        RMSE " in text and "16x16x3-lenet-16-1" in text
    assert "error          RMSE" in run(capsys, "evaluate", "model.npz", "x.npy", "y.npy")
    names, *rows = rows_of(run(capsys, "predict", "model.npz", "x.npy"))
    assert (names, len(rows)) == (["prediction"], 40)


def test_options_go_along(capsys):
    x, y = strokes()
    np.savez("images.npz", x=x, y=y)
    options = ["--class-weight", "balanced", "--split-last", "--loss", "kl_divergence", "--write-config", "run.toml"]
    assert "kl_divergence" in run(capsys, "train", "images.npz", *QUICK, *options[2:], "--output", "a.npz")
    run(capsys, "train", "--config", "run.toml", "--quiet", "--no-compare", "--output", "b.npz")
    first, second = (fastbp.load_model(path).get_weights() for path in ("a.npz", "b.npz"))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))
    assert rows_of(run(capsys, "predict", "a.npz", "images.npz"))[0] == ["prediction", "p_0", "p_1", "p_2"]


def test_info(capsys):
    x, y = strokes()
    np.savez("images.npz", x=x, y=np.array(CLASSES)[y])
    run(capsys, "train", "images.npz", *QUICK)
    text = run(capsys, "info", "model.npz")
    assert text.startswith("images: 16x16x1, whole numbers\ntarget: y, 3 classes: across, down, slant\n")
    assert "Conv2D(relu)" in text and "\nimages\n" not in text and "\noptions\n" in text
    facts = json.loads(run(capsys, "info", "model.npz", "--json"))
    assert facts["metadata"]["images"]["targets"]["classes"] == facts["preparation"]["goal"]["classes"] == CLASSES
    run(capsys, "train", "images.npz", *QUICK, "--no-provenance")
    assert {*fastbp.load_model("model.npz").metadata} == {"images"}


# ------------------------------------------------------------------------------------------ folders


def test_a_folder_by_class(capsys, folder):
    x, y = strokes()
    write_folder(folder / "data", x, y)
    (folder / "data" / "down" / ".hidden").write_text("no image")
    (folder / "data" / ".cache").mkdir()
    text = run(capsys, "train", "data", *QUICK)
    assert "data           data: 48 rows to train on, 12 to test, classification of 3 classes" in text
    net = fastbp.load_model("model.npz")
    assert net.metadata["images"]["targets"]["classes"] == CLASSES
    accuracy = json.loads(run(capsys, "evaluate", "model.npz", "data", "--json"))["scores"]["accuracy"]
    assert accuracy > 0.9
    names, *rows = rows_of(run(capsys, "predict", "model.npz", "data"))
    assert names == ["file", "prediction", "p_across", "p_down", "p_slant"]
    files = [os.path.join("data", CLASSES[y[k]], f"{k:03}.png") for k in np.argsort(y, kind="stable")]
    assert [row[0] for row in rows] == files
    assert np.mean([row[1] == row[0].split(os.sep)[1] for row in rows]) == accuracy
    again = rows_of(run(capsys, "predict", "model.npz", *files[3:5], os.path.join("data", "slant")))
    assert again[1:] == rows[3:5] + rows[40:]


def test_a_folder_has_the_bits_of_its_arrays(capsys, folder):
    x, y = strokes()
    order = np.argsort(y, kind="stable")
    write_folder(folder / "data", x, y)
    np.savez("images.npz", x=x[order], y=np.array(CLASSES)[y[order]])
    run(capsys, "train", "data", *QUICK, "--output", "a.npz")
    run(capsys, "train", "images.npz", *QUICK, "--output", "b.npz")
    first, second = (fastbp.load_model(path) for path in ("a.npz", "b.npz"))
    for ours, theirs in zip(first.get_weights(), second.get_weights(), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    # what was read is told, and changes with any file
    said = [first.metadata["data"]]
    assert [one.keys() for one in said[0]] == [{"sha256", "bytes"}]
    run(capsys, "train", "data", *QUICK, "--output", "c.npz")
    shutil.copy(folder / "data" / "down" / "001.png", folder / "data" / "down" / "004.png")
    run(capsys, "train", "data", *QUICK, "--output", "d.npz")
    said += [fastbp.load_model(path).metadata["data"] for path in ("c.npz", "d.npz")]
    assert said[0] == said[1] != said[2]


def test_folders_for_training_and_test(capsys, folder):
    x, y = strokes()
    write_folder(folder / "data" / "train", x[:40], y[:40])
    write_folder(folder / "data" / "test", x[40:], y[40:])
    assert "40 rows to train on, 20 to test" in run(capsys, "train", "data", *QUICK)


def test_folders_are_classes_however_few_their_images_are(capsys, folder):
    x, y = strokes(24)
    write_folder(folder / "data", x, y)
    for k, path in enumerate(sorted((folder / "data").glob("*/*.png"))):
        inside = folder / "many" / f"{k % 12:02}"
        inside.mkdir(parents=True, exist_ok=True)
        path.rename(inside / path.name)
    assert "classification of 12 classes" in run(capsys, "train", "many", *QUICK)


def test_grey_and_colour_together(capsys, folder):
    x, y = strokes()
    write_folder(folder / "data", x, y)
    write_folder(folder / "data", x[:1], y[:1], mode="RGB")
    assert "3 channels" in run(capsys, "train", "data", *QUICK)
    # a file that is grey is read as those of the training were
    grey = os.path.join("data", "down", "001.png")
    assert len(rows_of(run(capsys, "predict", "model.npz", grey))) == 2


def test_pictures_stand_upright(capsys, folder):
    image = pytest.importorskip("PIL.Image", reason="the package pillow is not installed")
    x, y = strokes()
    write_folder(folder / "data", x, y)
    run(capsys, "train", "data", *QUICK)
    exif = image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    turned = image.fromarray(x[1]).rotate(90)
    turned.save("turned.png", exif=exif)
    turned.save("lying.png")
    image.fromarray(x[1]).save("upright.png")
    _, lying, right, upright = rows_of(run(capsys, "predict", "model.npz", "lying.png", "turned.png", "upright.png"))
    assert right[1:] == upright[1:] != lying[1:]


@needs_modules
@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="not a checkout")
def test_images_out_of_packages(tmp_path):
    done = run_python(tmp_path, "-m", "benchmarks.packaged_images", "digits", "--seeds", "1", "--epochs", "10")
    assert done.returncode == 0, done.stderr
    number, size, classes, lenet, dense, _ = done.stdout.splitlines()[-1].split()[1:]
    assert (number, size, classes) == ("1,797", "16x16", "10")
    # portable numerics: as many on every machine
    assert (lenet, dense) == ("96.66%", "98.05%")


def test_arrays_may_have_the_names_of_keras(capsys, folder):
    x, y = strokes(40)
    for names in (("x", "y"), ("x_train", "y_train")):
        np.savez("data.npz", **dict(zip(names, (x[:30], y[:30]), strict=True)), x_test=x[30:], y_test=y[30:])
        run(capsys, "train", "data.npz", *QUICK, "--output", f"{names[0]}.npz")
    first, second = (fastbp.load_model(f"{name}.npz") for name in ("x", "x_train"))
    for got, want in zip(second.get_weights(), first.get_weights(), strict=True):
        assert_same_bits(got, want)


# ---------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": (9, 15, 20), "y": 9}, "lenet needs images of at least 16x16 pixels; those of bad.npz have 15x20, and 1"),
        ({"x": (9, 3, 32, 32), "y": 9}, r"3x32, and 32 channels; channels come last, and x.transpose\(0, 2, 3, 1\)"),
        ({"x": (9, 784), "y": 9}, r"x is uint8 of shape \(9, 784\); it must hold images: \(n, height, width\) or "),
        ({"x": (0, 16, 16), "y": 0}, r"x is uint8 of shape \(0, 16, 16\); it must hold images"),
        ({"x": (9, 16, 16), "y": 8}, r"x has 9 images and y has 8 rows; they must be equally many"),
        ({"x": (9, 16, 16)}, r"bad.npz has no array 'y'; it has x"),
        ({"x": (9, 16, 16), "y": 9, "x_test": (4, 18, 16), "y_test": 4}, "image 0 has 18x16x1 to test on, and image 0"),
    ],
)
def test_arrays_that_are_refused(capsys, folder, arrays, message):
    made = {
        name: np.arange(shape) % 3 if name.startswith("y") else np.ones(shape, np.uint8)
        for name, shape in arrays.items()
    }
    np.savez("bad.npz", **made)
    refuse(capsys, folder, message, "train", "bad.npz", *QUICK)


def test_pixels_that_are_refused(capsys, folder):
    x, y = strokes(12)
    bad = x / 255
    bad[3, 4, 5] = np.nan
    np.savez("bad.npz", x=bad, y=y)
    refuse(capsys, folder, r"x\[3, 4, 5, 0\] is nan; it must be finite", "train", "bad.npz", *QUICK)
    np.savez("bad.npz", x=x, y=np.ones((12, 1, 1)))
    refuse(capsys, folder, r"y is float64 of shape \(12, 1, 1\); it must be labels", "train", "bad.npz", *QUICK)


def test_files_that_are_refused(capsys, folder):
    image = pytest.importorskip("PIL.Image", reason="the package pillow is not installed")
    x, y = strokes(12)
    write_folder(folder / "data", x, y)
    train = ("train", "data", *QUICK)
    odd = folder / "data" / "slant" / "odd.png"
    image.fromarray(x[0][:, :-1]).save(odd)
    message = r"slant.odd.png has 16x15 pixels, and data.across.000.png 16x16 \(height x width\)"
    refuse(capsys, folder, message, *train)
    loose = folder / "data" / "Loose.PNG"
    loose.write_bytes(odd.read_bytes())
    refuse(capsys, folder, r"data.Loose.PNG is in no folder of a class; there may be no images beside these", *train)
    loose.unlink()
    odd.write_bytes(b"no image")
    refuse(capsys, folder, r"slant.odd.png is no image that Pillow knows", *train)
    odd.write_bytes((folder / "data" / "slant" / "002.png").read_bytes()[:150])
    refuse(capsys, folder, r"slant.odd.png cannot be read as an image: ", *train)
    image.fromarray(x[0].astype(np.int32) * 1000).save(odd.with_suffix(".tiff"))
    odd.unlink()
    refuse(capsys, folder, r"slant.odd.tiff has pixels of Pillow's mode 'I'; 8 bits a channel are taken", *train)
    odd.with_suffix(".tiff").unlink()
    (folder / "data" / "nothing").mkdir()
    refuse(capsys, folder, r"data.nothing has no images; each folder stands for a class", *train)
    (folder / "flat").mkdir()
    refuse(capsys, folder, r"flat has no folders; it must have one for each class", "train", "flat", *QUICK)
    refuse(capsys, folder, r"flat is a folder, and no table; of a folder of images --net lenet", "train", "flat")
    refuse(capsys, folder, r"they must be one .npz file, two .npy files .* or a folder", *train, "flat")
    refuse(capsys, folder, r"No such file or directory: none.npz", "train", "none.npz", *QUICK)


def test_without_pillow(capsys, folder, monkeypatch):
    (folder / "data" / "a").mkdir(parents=True)
    (folder / "data" / "a" / "1.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "PIL", None)
    refuse(capsys, folder, r"files of images need Pillow: pip install pillow", "train", "data", *QUICK)


def test_options_that_are_refused(capsys, folder):
    x, y = strokes(12)
    np.savez("images.npz", x=x, y=y)
    message = r"there is no net 'lenett'; did you mean 'lenet'\?"
    refuse(capsys, folder, message, "train", "images.npz", "--net", "lenett")
    refuse(capsys, folder, r"net is 'lenet', and there is no file", "train", "--net", "lenet")
    for option in (["--target", "y"], ["--split-by", "y"], ["--separator", "tab"], ["--columns", "a:text"]):
        refuse(capsys, folder, f"{option[0]} is for a table, and images.npz is taken for images",
               "train", "images.npz", *QUICK, *option)  # fmt: skip
    refuse(capsys, folder, "which takes two classes; y has 3", "train", "images.npz", *QUICK, "--loss", "bce")


def test_images_that_a_model_does_not_take(capsys, folder):
    x, y = strokes()
    np.savez("images.npz", x=x, y=y)
    run(capsys, "train", "images.npz", *QUICK)
    np.savez("larger.npz", x=np.ones((3, 20, 16), np.uint8), y=y[:3])
    np.savez("light.npz", x=x / 255, y=y)
    np.savez("more.npz", x=x[:9], y=np.arange(9))
    size = r"larger.npz has 20x16x1, and the images of the training had 16x16x1 \(height x width x channels\)"
    kind = "light.npz has fractions for pixels, and the training had whole numbers"
    for command in ("predict", "evaluate"):
        refuse(capsys, folder, size, command, "model.npz", "larger.npz")
        refuse(capsys, folder, kind, command, "model.npz", "light.npz")
        refuse(capsys, folder, "--separator is for a table", command, "model.npz", "images.npz", "--separator", "tab")
    refuse(capsys, folder, "image 3 is 3, which the training has not: 0, 1, 2", "evaluate", "model.npz", "more.npz")


@pytest.mark.parametrize("metadata", [3, [], {}, {"bytes": True}, {"bytes": True, "targets": {"task": "no"}}])
def test_metadata_of_somebody_else(capsys, folder, metadata):
    x, y = strokes(12)
    np.savez("images.npz", x=x, y=y)
    run(capsys, "train", "images.npz", *QUICK)
    net = fastbp.load_model("model.npz")
    net.metadata = {"images": metadata}
    net.save("model.npz")
    message = "model.npz has metadata of images that are not `fastbp train`'s"
    refuse(capsys, folder, message, "predict", "model.npz", "images.npz")
    refuse(capsys, folder, message, "info", "model.npz")
