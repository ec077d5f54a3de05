"""Looking at graphs: tables, drawings, and reports about gradients that name the uses of layers."""

import itertools
import math
import os
import pickle
import re
import stat
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import fastbp
from fastbp import BlameLog, Dense, Input, Model, Sequential, blame, gradient_check
from fastbp.drawing import Sketch, as_dot, as_mermaid, as_svg
from fastbp.layers import Add, Concatenate, Flatten, Layer

RNG = np.random.default_rng(3)
X = [RNG.normal(size=(40, 6)) for _ in range(2)]
Y = {"policy": RNG.integers(3, size=40), "value": RNG.normal(size=(40, 1))}


class Residual(Layer):
    """Dense layers with a way around them."""

    def __init__(self, units, name=None):
        super().__init__(name=name)
        self.inner, self.outer, self.add = Dense(units, activation="relu"), Dense(units), Add()

    def call(self, x):
        return self.add([self.outer(self.inner(x)), x])


def towers(**options):
    """Return a model with two inputs, a tower for both, a layer that is made of others, and two outputs."""
    tower = Sequential([Dense(5, activation="tanh"), Dense(4)], name="tower")
    left, right = Input(6, name="left"), Input(6, name="right")
    h = Residual(8, name="block")(Concatenate()([tower(left), tower(right)]))
    return Model([left, right], {"policy": Dense(3)(h), "value": Dense(1)(h)}, seed=0, **options)


def compiled(model=None, **options):
    model = towers() if model is None else model
    losses = {"policy": "sparse_categorical_crossentropy", "value": "mse"}
    model.compile("adam", losses, loss_weights={"value": 0.5}, dtype="float64", **options)
    return model


TABLE = """\
layer              kind             output     parameters  takes
left               Input            (None, 6)
right              Input            (None, 6)
tower              Sequential       (None, 4)              left
  tower.dense_1    Dense(tanh)      (None, 5)          35
  tower.dense_2    Dense(identity)  (None, 4)          24
tower:2            Sequential       (None, 4)              right
  tower.dense_1:2  Dense(tanh)      (None, 5)
  tower.dense_2:2  Dense(identity)  (None, 4)
concatenate_1      Concatenate()    (None, 8)           0  tower, tower:2
block              Residual         (None, 8)
  block.inner      Dense(relu)      (None, 8)          72
  block.outer      Dense(identity)  (None, 8)          72
  block.add        Add()            (None, 8)           0  block.outer, concatenate_1
dense_1            Dense(identity)  (None, 3)          27
dense_2            Dense(identity)  (None, 1)           9  block
policy             Output           (None, 3)              dense_1
value              Output           (None, 1)              dense_2
239 parameters, 956 bytes in float32"""


# ------------------------------------------------------------------------------------------ tables
def test_the_table_of_a_graph(capsys):
    model = towers()
    assert str(model) == TABLE
    model.summary()
    assert capsys.readouterr().out == TABLE + "\n"
    assert repr(model) == "<Model: tower, concatenate_1, block, dense_1, dense_2>"
    html = model._repr_html_()
    cells = [re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", row) for row in html.split("<tr>")[1:]]
    lines = [re.split(r" {2,}", line.strip()) for line in TABLE.splitlines()]
    assert [[cell.strip() for cell in row if cell] for row in cells] == lines[:-1]
    # names are those of reports, so that they can be looked for
    assert {use.name for use in model.layout_for().graph.uses} <= {row[0].strip() for row in cells}


def test_added_losses_are_shown():
    x = Input(4)
    h = Dense(3, name="h")(x)
    model = Model(x, Dense(2, name="y")(h))
    model.add_loss(h * h, weight=0.01)
    assert str(model).splitlines()[1:] == [
        "input_1     Input            (None, 4)",
        "h           Dense(identity)  (None, 3)          15",
        "y           Dense(identity)  (None, 2)           8",
        "multiply_1  Multiply()       (None, 3)           0  h, h",
        "y           Output           (None, 2)              y",
        "loss_1      Loss(0.01)       (None, 3)              multiply_1",
        "23 parameters, 92 bytes in float32",
    ]
    text = model.plot(format="mermaid")
    assert '    l1(["loss_1<br>Loss(0.01)<br>(None, 3)"])' in text.splitlines() and "    u2 --> l1" in text.splitlines()
    assert "<svg" in model._repr_html_()
    model = Model(x, Dense(2)(h))
    model.add_loss(h)
    assert re.split(r" {2,}", str(model).splitlines()[-2]) == ["loss_1", "Loss(1)", "(None, 3)", "h"]


def test_parameters_of_shared_layers_are_counted_once():
    model = towers()
    head, *lines = str(model).splitlines()[:-1]
    end = head.index("parameters") + len("parameters")
    column = [line[end - 10 : end].strip() for line in lines]
    assert sum(int(n) for n in column if n) == model.count_params() == 239


def test_the_table_of_a_chain_has_no_connections(capsys):
    model = Sequential([Dense(4, activation="relu"), Dense(2)], input_shape=3)
    table = "\n".join([
        "layer    kind             output     parameters",
        "dense_1  Dense(relu)      (None, 4)          16",
        "dense_2  Dense(identity)  (None, 2)          10",
        "26 parameters, 104 bytes in float32",
    ])
    assert str(model) == table
    x = Input(3)
    assert str(Model(x, Dense(2)(Dense(4, activation="relu")(x)))) == table
    assert "<svg" not in model._repr_html_()


def test_a_model_that_knows_no_shapes_is_printed_all_the_same():
    assert str(Sequential()) == "<Sequential: >"
    assert str(Sequential([Dense(3)])) == "<Sequential: dense_1>"
    impossible = Sequential()
    impossible.add(Dense(2, input_shape=3))
    impossible.add(fastbp.Reshape((7,)))
    assert str(impossible) == "<Sequential: dense_1, reshape_1>"


def test_nested_chains_are_chains():
    outer = Sequential([Dense(3), Sequential([Dense(2)], name="inner")], name="outer")
    model = Sequential([outer, Dense(1)], input_shape=2)
    assert [line.split("  ")[0] or line[:24].strip() for line in str(model).splitlines()][1:5] == [
        "outer", "outer.dense_1", "outer.inner", "outer.inner.dense_1",
    ]  # fmt: skip
    assert "takes" not in str(model)


# ------------------------------------------------------------------------------------------ drawings
def test_mermaid():
    text = towers().plot(format="mermaid")
    assert text.splitlines() == [
        "flowchart TB",
        '    i0(["left<br>Input<br>(None, 6)"])',
        '    i1(["right<br>Input<br>(None, 6)"])',
        '    subgraph g0 ["tower: Sequential"]',
        '        u0["tower.dense_1<br>Dense(tanh)<br>(None, 5)"]',
        '        u1["tower.dense_2<br>Dense(identity)<br>(None, 4)"]',
        "    end",
        '    subgraph g1 ["tower:2: Sequential"]',
        '        u2["tower.dense_1:2<br>Dense(tanh)<br>(None, 5)"]',
        '        u3["tower.dense_2:2<br>Dense(identity)<br>(None, 4)"]',
        "    end",
        '    u4["concatenate_1<br>Concatenate()<br>(None, 8)"]',
        '    subgraph g2 ["block: Residual"]',
        '        u5["block.inner<br>Dense(relu)<br>(None, 8)"]',
        '        u6["block.outer<br>Dense(identity)<br>(None, 8)"]',
        '        u7["block.add<br>Add()<br>(None, 8)"]',
        "    end",
        '    u8["dense_1<br>Dense(identity)<br>(None, 3)"]',
        '    u9["dense_2<br>Dense(identity)<br>(None, 1)"]',
        '    o0(["policy<br>Output<br>(None, 3)"])',
        '    o1(["value<br>Output<br>(None, 1)"])',
        *(f"    {a} --> {b}" for a, b in EDGES),
    ]
    assert towers().plot(format="mermaid", direction="LR").startswith("flowchart LR\n")


EDGES = [
    ("i0", "u0"), ("u0", "u1"), ("i1", "u2"), ("u2", "u3"), ("u1", "u4"), ("u3", "u4"), ("u4", "u5"), ("u5", "u6"),
    ("u6", "u7"), ("u4", "u7"), ("u7", "u8"), ("u7", "u9"), ("u8", "o0"), ("u9", "o1"),
]  # fmt: skip


def test_depth_closes_what_is_made_of_layers():
    text = towers().plot(format="mermaid", depth=0)
    assert "subgraph" not in text and "u0" not in text
    assert '    g1[["tower:2<br>Sequential<br>(None, 4)"]]' in text.splitlines()
    edges = [("i0", "g0"), ("i1", "g1"), ("g0", "u4"), ("g1", "u4"), ("u4", "g2"), ("g2", "u8"), ("g2", "u9")]
    assert re.findall(r"(\w+) --> (\w+)", text)[:7] == edges
    deep = Sequential([Sequential([Sequential([Dense(2)], name="b"), Dense(2)], name="a"), Dense(2)], input_shape=2)
    shown = [re.findall(r"\b([gu]\d)\b", deep.plot(format="mermaid", depth=d).split("-->")[0]) for d in (0, 1, 2)]
    wanted = [["g0", "u2"], ["g0", "g1", "u1", "u2"], ["g0", "g1", "u0", "u1", "u2"]]
    assert [sorted(set(keys)) for keys in shown] == wanted


def test_dot():
    sketch = Sketch(towers().layout_for().graph)
    text = as_dot(sketch, "LR")
    assert text.startswith("digraph model {\n    graph [rankdir=LR,") and text.count("{") == text.count("}") == 4
    assert '        u3 [label="tower.dense_2:2\\nDense(identity)\\n(None, 4)"]' in text.splitlines()
    assert re.findall(r"(\w+) -> (\w+)", text) == EDGES
    assert as_mermaid(sketch).count("-->") == len(EDGES)


def test_labels_are_quoted():
    x = Input(2)
    model = Model(x, fastbp.Activation("relu")(x))
    graph = model.layout_for().graph
    graph.uses[0].name = 'a"b#c<d\\e'
    sketch = Sketch(graph)
    assert 'u0["a#quot;b#35;c&lt;d\\e<br>' in as_mermaid(sketch)
    assert 'u0 [label="a\\"b#c<d\\\\e\\n' in as_dot(sketch)
    assert 'a"b#c<d\\e' in [e.text for e in ElementTree.fromstring(as_svg(sketch)).iter()]


def picture(sketch):
    """Return the rectangles, texts and ends of the edges of an SVG picture, all of which lie within it."""
    root = ElementTree.fromstring(as_svg(sketch))
    width, height = map(float, root.get("viewBox").split()[2:])
    kinds = {kind: [e for e in root.iter() if e.tag.endswith(kind)] for kind in ("rect", "text", "path")}
    rects = [tuple(float(e.get(name)) for name in ("x", "y", "width", "height")) for e in kinds["rect"]]
    assert all(0 <= x and 0 <= y and x + w <= width + 0.1 and y + h <= height + 0.1 for x, y, w, h in rects)
    for path in kinds["path"]:
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", path.get("d"))]
        assert all(-4 <= n <= max(width, height) + 4 for n in numbers)
    curves = [e.get("d") for e in kinds["path"] if e.get("fill") == "none"]
    return rects, [e.text for e in kinds["text"]], curves


def apart(a, b):
    return a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0] or a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1]


def within(a, b):
    return b[0] <= a[0] and b[1] <= a[1] and a[0] + a[2] <= b[0] + b[2] and a[1] + a[3] <= b[1] + b[3]


def random_graph(seed):
    rng = np.random.default_rng(seed)
    tensors = [Input(4) for _ in range(rng.integers(1, 4))]
    inputs = list(tensors)
    parts = [Residual(4), Sequential([Dense(4), Residual(4)]), Dense(4)]
    for _ in range(rng.integers(1, 12)):
        kind = rng.integers(4)
        if kind == 3 and len(tensors) > 1:
            chosen = rng.choice(len(tensors), 2, replace=False)
            tensors.append(Add()([tensors[k] for k in chosen]))
        else:
            tensors.append(parts[kind % 3](tensors[rng.integers(len(tensors))]))
    used = {id(t) for tensor in tensors if tensor.node for t in tensor.node.inputs}
    return Model(inputs, [t for t in tensors if id(t) not in used or t.node is None])


@pytest.mark.parametrize("seed", range(20))
def test_pictures_of_random_graphs(seed):
    graph = random_graph(seed).layout_for().graph
    for depth in (None, 0, 1):
        sketch = Sketch(graph, depth)
        rects, texts, curves = picture(sketch)
        assert len(rects) == len(sketch.boxes) + len(sketch.groups) and len(curves) == len(sketch.edges)
        for a, b in itertools.combinations(rects, 2):
            assert apart(a, b) or within(a, b) or within(b, a)
        for box in sketch.boxes:
            assert box.lines[0] in texts
        boxes = dict(zip([box.key for box in sketch.boxes], sketch.boxes, strict=True))
        # edges lead from boxes to those that stand behind them, and down
        order = {key: k for k, key in enumerate(boxes)}
        assert all(order[a] < order[b] for a, b in sketch.edges)
        for curve in curves:
            downs = [float(y) for y in re.findall(r"V([\d.]+)", curve)]
            assert downs == sorted(downs)


def test_edges_pass_beside_boxes():
    """The way around a block's layers crosses none of them."""
    x = Input(4)
    sketch = Sketch(Model(x, Residual(4)(x)).layout_for().graph)
    rects, _, curves = picture(sketch)
    boxes = [r for r in rects if not any(r != other and within(other, r) for other in rects)]
    for curve in curves:
        x, y = (float(n) for n in re.match(r"M([\d.]+) ([\d.]+)", curve).groups())
        for part in re.findall(r"V([\d.]+)|C[\d.]+ [\d.]+ [\d.]+ [\d.]+ ([\d.]+) ([\d.]+)", curve):
            if part[0]:
                low, high = y + 0.2, float(part[0]) - 0.2
                assert not [b for b in boxes if b[0] < x < b[0] + b[2] and b[1] < high and low < b[1] + b[3]]
                y = high
            else:
                x, y = float(part[1]), float(part[2])


def test_a_drawing_is_text_and_a_picture():
    drawing = towers().plot(format="mermaid")
    assert isinstance(drawing, str) and drawing._repr_html_().startswith("<svg")
    again = pickle.loads(pickle.dumps(drawing))
    assert again == drawing and again._repr_html_() == drawing._repr_html_()
    assert towers()._repr_html_().endswith(drawing._repr_html_())


def test_a_notebook_draws_no_giant():
    x = h = Input(2)
    for _ in range(160):
        h = Add()([h, x])
    assert "<svg" not in Model(x, h)._repr_html_()


# ------------------------------------------------------------------------------------------ files
def bare(monkeypatch):
    """Let graphviz be missing."""
    monkeypatch.setitem(sys.modules, "graphviz", None)
    monkeypatch.setattr("fastbp.drawing.shutil.which", lambda name: None)


def test_files_without_graphviz(tmp_path, monkeypatch):
    bare(monkeypatch)
    model, text = towers(), towers().plot(format="mermaid")
    assert model.plot() == text
    assert model.plot(tmp_path / "a.mmd") == text and (tmp_path / "a.mmd").read_text() == text
    assert model.plot(str(tmp_path / "a.MD")) == text
    assert (tmp_path / "a.MD").read_text() == f"```mermaid\n{text}```\n"
    assert model.plot(tmp_path / "a.svg") == text and (tmp_path / "a.svg").read_text() == text._repr_html_()
    for call in (
        lambda: model.plot(tmp_path / "a.png"), lambda: model.plot(tmp_path / "a.gv"),
        lambda: model.plot(format="graphviz"),
    ):  # fmt: skip
        with pytest.raises(ImportError, match=r"pip install graphviz.*\.svg or \.mmd.* needs neither"):
            call()
    assert not (tmp_path / "a.png").exists()


def test_what_plot_refuses(tmp_path):
    model = towers()
    for path, options, message in (
        ("a.jpg", {}, r"path is 'a.jpg'; it must end with one of .svg, .png, .pdf, .mmd, .md, .gv, .dot"),
        ("a", {}, "it must end with one of"),
        ("a.png", {"format": "mermaid"}, "path is 'a.png' and format is 'mermaid'; that writes .svg, .mmd, .md"),
        ("a.md", {"format": "graphviz"}, "format is 'graphviz'; that writes .svg, .png, .pdf, .gv, .dot"),
        (None, {"format": "mermaiden"}, "there is no format 'mermaiden'; did you mean 'mermaid'"),
        (None, {"direction": "BT"}, "there is no direction 'BT'"),
        (None, {"depth": -1}, "depth is -1"),
    ):
        with pytest.raises(ValueError, match=re.escape(message) if "|" in message else message):
            model.plot(path, **options)
    with pytest.raises(TypeError, match="path"):
        model.plot(3)
    with pytest.raises(RuntimeError, match="input shape is not known"):
        Sequential([Dense(2)]).plot()


def fake_dot(folder, monkeypatch):
    """Put a program on the path that is called dot and writes its arguments and what it is given."""
    program = folder / "dot"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:]); print(sys.stdin.read(), end='')\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.skipif(sys.platform == "win32", reason="scripts are no programs there")
def test_files_by_graphviz(tmp_path, monkeypatch):
    graphviz = pytest.importorskip("graphviz")
    model = towers()
    text = as_dot(Sketch(model.layout_for().graph))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"program dot.*apt install graphviz.*needs neither"):
        model.plot(tmp_path / "a.pdf")
    assert isinstance(model.plot(), str) and model.plot(tmp_path / "a.svg") == model.plot()
    # texts need the package alone
    assert model.plot(tmp_path / "a.gv").source == text == (tmp_path / "a.gv").read_text()
    fake_dot(tmp_path, monkeypatch)
    assert isinstance(model.plot(), graphviz.Source) and model.plot().source == text
    assert isinstance(model.plot(format="mermaid"), str)
    for ending in ("png", "pdf", "svg"):
        assert model.plot(tmp_path / f"b.{ending}").source == text
        arguments, _, given = (tmp_path / f"b.{ending}").read_text().partition("\n")
        assert f"-T{ending}" in arguments and given == text
    assert (tmp_path / "b.svg").read_text() != model.plot(tmp_path / "c.svg", format="mermaid")._repr_html_()


# ------------------------------------------------------------------------------------------ blame
def test_blame_names_uses():
    model = compiled()
    report = blame(model, X, Y)
    names = [layer.name for layer in report.layers]
    assert names == [use.name for use in model.layout.graph.uses]
    assert names[:5] == ["tower.dense_1", "tower.dense_2", "tower.dense_1:2", "tower.dense_2:2", "concatenate_1"]
    assert report.findings == [] and report.rows == 40
    model.forward(X)
    assert report.loss == model.loss(Y)
    model.backward()
    for layer in model.layers:
        if isinstance(layer, Dense):
            found = report[layer.name]
            assert found.dy == math.sqrt((layer.dy**2).sum()) and found.dw == math.sqrt((layer.dw**2).sum())
    tower = model.get_layer("tower").layers[0]
    # the parameters stand with the first use; y and dy of a layer are those of the last
    assert report["tower.dense_1"].dw == math.sqrt((tower.dw**2).sum())
    assert math.isnan(report["tower.dense_1:2"].w) and report["tower.dense_1:2"].columns == ["dy", "saturated"]
    assert report["tower.dense_1:2"].dy == math.sqrt((tower.dy**2).sum()) != report["tower.dense_1"].dy
    with pytest.raises(KeyError, match=r"tower\.dense_1:2"):
        report["tower"]


def test_blame_of_missing_targets():
    model = compiled()
    report = blame(model, X, {"policy": Y["policy"], "value": None})
    assert math.isnan(report["dense_2"].dy) and report["dense_2"].dw == 0 and report["dense_1"].dy > 0
    assert report.findings == []
    assert report.loss == model.evaluate(X, {"policy": Y["policy"], "value": None})["loss"]


def two_ways(deep, shallow, activation="sigmoid"):
    """Return a compiled model of two branches, one deep, one shallow, that are put together."""
    x = a = b = Input(6)
    for k in range(deep):
        a = Dense(8, activation=activation, name=f"deep_{k}")(a)
    for k in range(shallow):
        b = Dense(8, activation="tanh", name=f"shallow_{k}")(b)
    model = Model(x, Dense(3)(Concatenate()([a, b])), seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy", numerics="portable")
    return model


def test_gradients_vanish_on_one_way_only():
    y = Y["policy"]
    assert blame(two_ways(2, 2), X[0], y).findings == []
    (finding,) = blame(two_ways(8, 2), X[0], y).findings
    assert finding.kind == "vanishing" and finding.layers and all(n.startswith("deep_") for n in finding.layers)
    assert "deep_0" in finding.layers and "concatenate_1, by" not in finding
    # a way around lets them through
    x = h = Input(8)
    for _ in range(8):
        h = Add()([Dense(8, activation="sigmoid")(h), h])
    model = Model(x, Dense(3)(h), seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert blame(model, RNG.normal(size=(40, 8)), y).findings == []


def test_gradients_explode_on_one_way_only():
    class Large(fastbp.initializers.Initializer):
        def __call__(self, shape, rng):
            return rng.normal(0, 3, shape)

    x = a = Input(6)
    for k in range(5):
        a = Dense(8, kernel_initializer=Large(), name=f"deep_{k}")(a)
    model = Model(x, Dense(3)(Concatenate()([a, Dense(4, name="side")(x)])), seed=0)
    model.compile(fastbp.optimizers.SGD(lr=1e-9), "sparse_categorical_crossentropy", dtype="float64")
    (finding,) = blame(model, X[0], Y["policy"]).findings
    assert finding.kind == "exploding" and "deep_0" in finding.layers and "side" not in finding.layers


def test_a_frozen_branch_and_stopped_gradients_are_no_findings():
    model = two_ways(2, 2)
    model.get_layer("deep_0").trainable = False
    assert blame(model, X[0], Y["policy"]).findings == []
    x = Input(6)
    h = Dense(8, activation="tanh")(x)
    model = Model(x, Dense(3)(Concatenate()([h, Dense(4)(fastbp.layers.StopGradient()(Dense(4)(x)))])), seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    report = blame(model, X[0], Y["policy"])
    assert report.findings == [] and math.isnan(report["stopgradient_1"].dy)
    # what lies behind it says nothing of what lies before it
    h = Dense(8, activation="tanh")(x)
    behind = Dense(8, activation="tanh")(fastbp.layers.StopGradient()(h))
    model = Model(x, [Dense(3)(h), Dense(3)(behind)])
    model.compile("sgd", "sparse_categorical_crossentropy", loss_weights=[1e-5, 1])
    assert blame(model, X[0], [Y["policy"], Y["policy"]]).findings == []


def test_blame_log_and_pictures_of_graphs():
    plt = pytest.importorskip("matplotlib.pyplot")
    model = compiled()
    log = BlameLog(X, Y)
    model.fit(X, Y, epochs=2, seed=0, verbose=0, callbacks=[log])
    assert log.epoch == [0, 1, 2] and log.findings == []
    assert len(log.history["tower.dense_1:2.dy"]) == 3 and "tower.dense_1:2.w" not in log.history
    axes = log.last.plot()
    assert [t.get_text() for t in axes.get_xticklabels()] == [layer.name for layer in log.last.layers]
    axes = log.plot()
    assert "tower.dense_1:2" in [t.get_text() for t in axes.get_legend().get_texts()]
    # the last layer has no gradient, and the neurons are explained all the same
    report = blame(model, X, {"policy": Y["policy"], "value": None})
    labels = [t.get_text() for t in report.plot().get_legend().get_texts()]
    assert labels.count("dLoss/dy of a neuron") == 1
    plt.close("all")


# ------------------------------------------------------------------------------------------ gradients
@pytest.mark.parametrize("y", [Y, {"policy": None, "value": Y["value"]}, [Y["policy"], Y["value"]]])
def test_gradients_of_graphs_are_right(y):
    model = compiled()
    check = gradient_check(model, X, y, sample=None)
    assert check.ok and str(check).startswith("array")
    dense = ["tower.dense_1", "tower.dense_2", "block.inner", "block.outer", "dense_1", "dense_2"]
    assert list(check.errors) == [f"{layer}.{name}" for layer in dense for name in "wb"]
    assert check.compared["tower.dense_1.w"] == 30


def test_gradients_of_words_beside_numbers_are_right():
    words, numbers = Input(3, dtype="int64", name="words"), Input(2, name="numbers")
    h = Concatenate()([Flatten()(fastbp.Embedding(7, 4)(words)), numbers])
    model = Model({"words": words, "numbers": numbers}, [Dense(2)(h), Dense(1)(h), h])
    model.compile("sgd", ["mse", "mae", None])
    x = {"words": RNG.integers(7, size=(9, 3)), "numbers": RNG.normal(size=(9, 2))}
    check = gradient_check(model, x, [RNG.normal(size=(9, 2)), RNG.normal(size=(9, 1)), None])
    assert check.ok and "embedding_1.w" in check.errors


class Wrong(Layer):
    """Hands twice the gradient back to its second input."""

    def build(self, input_shape):
        return [], input_shape[0]

    def emit(self, program, xs, weights, gradients):
        y = program.call("add", *xs, layer=self.name).reshaped(xs[0].shape)

        def backward(dy, need):
            return [dy if need[0] else None, program.call("add", dy, dy, layer=self.name).reshaped(dy.shape)]

        return y, backward


def test_a_wrong_gradient_is_found_where_it_is():
    x = Input(6)
    a, b = Dense(4, name="right")(x), Dense(4, name="wrong")(x)
    model = Model(x, Dense(2)(Wrong()([a, b])), seed=0)
    model.compile("sgd", "mse")
    check = gradient_check(model, X[0], RNG.normal(size=(40, 2)))
    assert not check.ok
    wrong = {name for name, error in check.errors.items() if not error < 1e-5}
    assert wrong == {"wrong.w", "wrong.b"}


# ------------------------------------------------------------------------------------------ profile
def test_a_profile_names_uses():
    model = compiled()
    model.train_on_batch(X, Y)
    layers = {call.layer for call in model.program.calls}
    # an addition is part of the product before it
    assert {use.name for use in model.layout.graph.uses} - layers <= {"block.add"}
    profile = str(model.program.profile())
    assert "tower.dense_1:2.y[batch, 5]" in profile and "tower.dense_1.y[batch, 5]" in profile
    assert "tower.dense_1:2" in model.program._repr_html_()
