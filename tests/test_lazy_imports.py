"""What is imported when it is asked for: whether it has been, nobody notices."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastbp

#: Each runs in a process that only did `import fastbp`, and in one that has all; what it leaves in `got` is the same.
CASES = {
    "a layer of the package": "got = fastbp.Conv2D.__module__, fastbp.layers.Conv2D is fastbp.Conv2D",
    "a layer of its module": "from fastbp.layers import GlobalMaxPooling1D as got",
    "a family": "got = fastbp.layers.shape.Flatten",
    "a layer by another name": "got = fastbp.layers.BatchNormalization, fastbp.nn",
    "schedules by another name": "got = fastbp.optimizers.schedules.CosineDecay",
    "near a layer": "fastbp.Conv2",
    "near a layer of the module": "fastbp.layers.Flaten",
    "near nothing": "fastbp.xxxxxxxxxxxx",
    "a private name": "fastbp.layers._Pool",
    "a metric in another place": "fastbp.layers.AUC",
    "a layer in another place": "fastbp.losses.Flatten",
    "a schedule in another place": "fastbp.optimizers.CosineDecay",
    "a callback in another place": "fastbp.metrics.EarlyStopping",
    "all names": "got = sorted(fastbp.__all__)",
    "all names of layers": "got = sorted(fastbp.layers.__all__)",
    "a star": "exec('from fastbp import *', got := {}); del got['__builtins__']; got = sorted(got)",
    "a star of layers": "exec('from fastbp.layers import *', got := {}); del got['__builtins__']; got = sorted(got)",
    "what dir lists": "got = {*fastbp.__all__} <= {*dir(fastbp)}, {*fastbp.layers.__all__} <= {*dir(fastbp.layers)}",
    "what dir lists of layers": "got = 'Conv2D' in dir(fastbp.layers)",
    "completion": "import rlcompleter; got = rlcompleter.Completer({'f': fastbp}).attr_matches('f.Glob')",
    "a layer of a file": "got = fastbp.layers.from_config('Flatten', {})",
    "a layer that no file names": "fastbp.layers.from_config('Flaten', {})",
    "a layer of a user's that is not here": "fastbp.layers.from_config('mine.Flatten', {})",
    "a layer that is given": (
        "from fastbp.registry import custom_classes\n"
        "with custom_classes({'Flatten': fastbp.Dense}):\n"
        "    got = fastbp.layers.from_config('Flatten', {'units': 3})"
    ),
    "all layers": "got = [*fastbp.Layer.registry.known]",
    "all metrics": "got = [*fastbp.metrics.Metric.registry.named]",
    "a name that is taken": "class Mine(fastbp.Layer, names=('Flatten',)): pass",
    "a name that is not": "class Mine(fastbp.Layer, names=('Flatten2',)): pass\ngot = [*fastbp.Layer.registry.known]",
    "the name of a class": "class Flatten(fastbp.Layer): pass\ngot = fastbp.registry.name_of(Flatten), fastbp.Flatten",
    "a metric's name that is taken": "class Mine(fastbp.metrics.Metric, names=('auc',)): pass",
    "a schedule of a file": "got = fastbp.optimizers.from_config('SGD', {'lr': ['Constant', {'lr': 0.5}]})",
    "a schedule that no file names": "fastbp.optimizers.from_config('SGD', {'lr': ['Constnt', {'lr': 0.5}]})",
    "a rate of a user's": "got = fastbp.optimizers.SGD(lambda n: 0.5 / (1 + n)).rates(2).tolist()",
    "an activation of a layer": "got = fastbp.Dense(3, activation=fastbp.layers.ReLU())",
    "a penalty": "got = fastbp.Dense(3, kernel_regularizer='l2', kernel_constraint='max_norm').get_config()",
    "a penalty that is not there": "fastbp.Dense(3, kernel_regularizer='l3')",
    "a constraint that is not there": "fastbp.Dense(3, bias_constraint='maxnorm')",
    "a constraint in another place": "fastbp.regularizers.NonNeg",
    "a class for a name": "fastbp.Dense(3, activation=fastbp.Flatten)",
    "tensors": "x = fastbp.Input(4, name='x'); got = (x + x)[..., 1:3], -x, 2 * x - 1, x / 2, 1 - x",
    "no tensors": "fastbp.Input(4, name='x') + 'a'",
    "a metric": "net.compile('sgd', 'mse', metrics=['mae', fastbp.metrics.R2Score()]); got = net.metrics",
    "weighted metrics": "net.compile('sgd', 'mse', weighted_metrics='mae'); got = net.metrics",
    "no metrics": "net.compile('sgd', 'mse', metrics=[], weighted_metrics=None); got = net.metrics",
    "a metric that is not there": "net.compile('sgd', 'mse', metrics=['acuracy'])",
    "metrics that are none": "net.compile('sgd', 'mse', metrics=3)",
    "a callback": "got = net.fit(x, y, verbose=0, callbacks=fastbp.callbacks.EarlyStopping('loss')).history",
    "a callback that is none": "net.fit(x, y, verbose=0, callbacks=[print])",
    "a pickle": "got = pickle.loads(bytes.fromhex(images)).predict(np.ones((1, 4, 4, 1))).tolist()",
    "a copy": "net.fit(x, y, verbose=0); got = copy.deepcopy(net).history.history, net.clone()",
    "a file": "got = fastbp.load_model(path).predict(np.ones((1, 4, 4, 1))).tolist()",
    "weights of a file": "fastbp.Sequential([fastbp.Dense(3)]).load_weights(path)",
    "a summary": "net.summary()",
    "octets": (
        "m = fastbp.Sequential([fastbp.Flatten(), fastbp.Dense(1)], input_shape=(2, 2), seed=0)\n"
        "m.compile('sgd', 'mse'); got = m.train_on_batch(np.ones((3, 2, 2), np.uint8), np.ones((3, 1)))"
    ),
    "what is set": "fastbp.Dot = fastbp.layers.Max = 3; fastbp.Add; got = fastbp.Dot, fastbp.layers.Max",
    "what is deleted": "fastbp.Add; del fastbp.Add; fastbp.Add",
    "what tools ask for": (
        "got = hasattr(fastbp, '__wrapped__'), hasattr(fastbp.layers, '_repr_html_')\n"
        "assert everything == ('fastbp.layers.families' in sys.modules)"
    ),
    "many at once": (
        "import threading\n"
        "names = ['Conv2D', 'Flatten', 'AUC', 'Callback', 'Slice', 'xyz', 'Add', 'History']\n"
        "start, got = threading.Barrier(8), [None] * 8\n"
        "def ask(k):\n"
        "    start.wait()\n"
        "    places = fastbp, fastbp.layers, fastbp.metrics\n"
        "    got[k] = [getattr(place, names[k], None) for place in places], fastbp.Layer.registry.find(names[k])\n"
        "threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]\n"
        "[t.start() for t in threads], [t.join() for t in threads]"
    ),
}

#: A process of its own for each case: a child that has what this one has imported.
PROGRAM = """
import contextlib, copy, io, json, os, pickle, re, sys
import numpy as np
import fastbp

everything, path, images, cases = json.load(sys.stdin)
if everything:
    fastbp.layers.__all__, fastbp.metrics, fastbp.callbacks, fastbp.schedules, fastbp.load_model
x, y = np.ones((2, 3)), np.ones((2, 1))
told = {}
for name, code in cases.items():
    sys.stdout.flush()
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        names = {**globals(), "__name__": "mine", "got": None}
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                if "net." in code:
                    net = names["net"] = fastbp.Sequential([fastbp.Dense(1)], input_shape=3, seed=0)
                    net.compile("sgd", "mse")
                exec(code, names)
            said = repr(names["got"])
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        with open(theirs, "w") as file:
            file.write(re.sub("0x[0-9a-f]+", "", said + printed.getvalue()))
        os._exit(0)
    os.close(theirs)
    with open(ours) as file:
        told[name] = file.read()
    os.waitpid(child, 0)
print(json.dumps(told))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_nobody_notices(tmp_path):
    path = str(tmp_path / "images.npz")
    layers = [fastbp.Conv2D(2, 3), fastbp.MaxPooling2D(), fastbp.Flatten(), fastbp.Dense(2)]
    model = fastbp.Sequential(layers, input_shape=(4, 4, 1), seed=0)
    model.compile("adam", "mse", metrics=["mae"])
    model.save(path)
    images, told = pickle.dumps(model).hex(), []
    for everything in (False, True):
        given = json.dumps([everything, path, images, CASES])
        done = subprocess.run([sys.executable, "-c", PROGRAM], input=given, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout.splitlines()[-1]))
    before, after = told
    assert {name: before[name] for name in CASES} == after and not {"", "None"} & {*after.values()}
    predicted = repr(model.predict(np.ones((1, 4, 4, 1))).tolist())
    assert before["a pickle"] == before["a file"] == predicted
    # the errors are those of what is asked for, and not of a part that is missing
    assert "did you mean 'Conv2D'?" in before["near a layer"]
    assert "did you mean 'Flatten'? There are Scale, " in before["a layer that no file names"]
    assert "the layer 'Flatten' is fastbp.layers.shape.Flatten; mine.Mine must have" in before["a name that is taken"]
