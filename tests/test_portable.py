"""Numerics "portable": one bit pattern for every CPU level, backend, number of threads and batch."""

import itertools
import json
import os
import subprocess
import sys
import textwrap
import threading
from functools import partial

import numpy as np
import pytest
from _arrays import (
    BACKENDS,
    BUILDS,
    DTYPES,
    address,
    assert_same_bits,
    free_dims,
    guarded,
    operands,
    run_guarded,
    sizes_of,
)
from _arrays import primitives as primitives_of

import fastbp
from fastbp import Dense, LayerNorm, PReLU, RMSNorm, Sequential, kernels
from fastbp._selfcheck import TRIALS, _check_levels
from fastbp.kernels import cython_ext, primitives
from fastbp.kernels.portable import array, elementary
from fastbp.kernels.portable.array import PortableArray, portable
from fastbp.kernels.table import KERNELS

#: SHA-256 of the parameters after 200 steps, wherever and however they were run.
HASHES = {
    "4-16-3 relu, softmax cross-entropy, Adam, float32": (
        "b5e0078e7cff3fddfc28b1d339defc9e8c101e732a2ce24e9ed401a8fd276fb9"
    ),
    "13-24-8-1 tanh and sigmoid, binary cross-entropy, Nesterov, float64": (
        "4d0b687bc8d9c45e630176365278eedac9c1061750b7fc5d723b70e009e0e2b6"
    ),
    "64-128-10 relu, categorical cross-entropy, momentum, float32": (
        "ae0afd1cc14a5df3d67acb6bb7aee0a36b133cb55f9a578c9796ae3d38b895bf"
    ),
    "LeNet-5 on 28x28x1, softmax cross-entropy, Adam, float32": (
        "c38c9953c01c1dc8ba7b6c698236dc528cd3e5fd3c276c3180350411ea2b16df"
    ),
}
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_backend = pytest.mark.parametrize("backend", BACKENDS)
every_network = pytest.mark.parametrize("name", HASHES)


@pytest.fixture(autouse=True)
def threads():
    """Leave the number of threads as it was."""
    before = fastbp.get_num_threads()
    yield
    fastbp.set_num_threads(before)


def script(code, **environment):
    """Run a script in a process of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --------------------------------------------------------------------------------- whole programs
def test_the_hashes_are_those_that_users_check():
    assert {name: trial.sha256 for name, trial in TRIALS.items()} == HASHES


@every_network
@every_backend
@pytest.mark.parametrize("n", [1, 2, 3])
def test_one_hash_for_backends_and_threads(name, backend, n):
    fastbp.set_num_threads(n)
    assert TRIALS[name].train(backend) == HASHES[name]


@pytest.mark.parametrize("level", cython_ext.levels())
def test_one_hash_for_levels(level):
    found = script(
        """
        import json
        from fastbp._selfcheck import TRIALS
        print(json.dumps({name: trial.train("cython") for name, trial in TRIALS.items()}))
        """,
        FASTBP_LEVEL=level,
    )
    assert json.loads(found) == HASHES


@pytest.mark.skipif("v2" not in cython_ext.levels(), reason="x86-64 only")
def test_software_fma_is_said_once():
    found = script(
        """
        import warnings
        from fastbp import kernels
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for _ in range(2):
                kernels.tanh_forward([1.0], numerics="portable")
            kernels.tanh_forward([1.0])
        print(*(w.message for w in seen), sep="\\n")
        """,
        FASTBP_LEVEL="v2",
    )
    assert found.count("without fused multiply-add") == 1 == len(found.splitlines())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * ("LeNet" in name)) for name in HASHES]
)
def test_one_hash_for_the_definition(name):
    assert TRIALS[name].train("numpy") == HASHES[name]


def test_another_numerics_is_another_program():
    model = model_of(numerics="portable")
    assert "portable" in str(model.program)
    with pytest.raises(ValueError, match=r"numerics is 'portabel'.*did you mean 'portable'"):
        model.compile("sgd", "mse", numerics="portabel")
    assert model.numerics == "portable"


def model_of(backend="cython", dtype="float32", numerics="portable", widths=(20, 40, 7)):
    layers = [fastbp.Dense(n, activation=a) for n, a in zip(widths[1:], ("sigmoid", "identity"), strict=True)]
    model = fastbp.Sequential(layers, input_shape=widths[0], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", backend=backend, dtype=dtype, numerics=numerics)
    return model


@every_backend
@every_dtype
def test_a_row_does_not_depend_on_the_rows_beside_it(backend, dtype):
    model = model_of(backend, dtype, widths=(200, 65, 7))
    x = np.random.default_rng(0).standard_normal((333, 200)).astype(dtype)
    together = model.predict(x)
    for size in (1, 2, 7, 64):
        assert_same_bits(model.predict(x, batch_size=size), together)
    assert_same_bits(model.predict(x[100:101]), together[100:101])
    assert_same_bits(model.predict(x[::-1]), together[::-1])


@every_backend
def test_checked_against_the_definition(backend):
    model = model_of(backend)
    x, y = np.random.default_rng(0).standard_normal((50, 20)), np.arange(50) % 7
    model.fit(x, y, batch_size=25, verbose=0)
    model.train_on_batch(x, y)
    model.program.run(check="numpy")


def test_saved_models_keep_their_numerics(tmp_path):
    model = model_of()
    model.save(tmp_path / "model.npz")
    assert fastbp.load_model(tmp_path / "model.npz").numerics == "portable"


# ---------------------------------------------------------------------------------- the definition
@every_dtype
def test_arrays_use_portable_functions(dtype):
    x = (np.arange(99, dtype=dtype) - 50) / 7
    p = x.view(PortableArray)
    for name in ("exp", "expm1", "tanh"):
        assert_same_bits(np.asarray(getattr(np, name)(p)), getattr(array.elementary, name)(x))
    assert_same_bits(np.asarray(np.log(abs(p))), array.elementary.log(abs(x)))
    assert_same_bits(np.asarray(p.sum()), array.sum_(x))
    assert_same_bits(np.asarray(p.reshape(9, 11) @ p.reshape(11, 9)), array.matmul(x.reshape(9, 11), x.reshape(11, 9)))
    assert type(np.exp(p.sum())) is PortableArray and type(np.where(p > 0, p, 0)) is PortableArray
    assert p.sum().dtype == dtype and (p.reshape(9, 11).sum(axis=1, keepdims=True)).shape == (9, 1)
    assert p.mean().dtype == dtype


@pytest.mark.parametrize(
    "operation",
    [
        np.arcsin, np.cbrt, np.cumsum, np.prod, np.hypot.outer, lambda x: x.dot(x), lambda x: np.dot(x, x),
        np.linalg.norm, lambda x: np.einsum("i,i", x, x), lambda x: np.add.accumulate(x), lambda x: np.logaddexp(x, x),
    ],
)  # fmt: skip
def test_what_has_no_portable_definition_is_an_error(operation):
    with pytest.raises((TypeError, ValueError)):
        operation(np.ones(3).view(PortableArray))


@every_dtype
def test_sums_have_one_order(dtype):
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 3, 10, 31, 32, 33, 64, 100, 1000):
        x = (rng.standard_normal(n) * 10.0 ** rng.integers(-6, 6, n)).astype(dtype)
        lanes = [np.dtype(dtype).type(0)] * 32
        for i, value in enumerate(x):
            lanes[i % 32] = lanes[i % 32] + value
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [a + b for a, b in zip(lanes[:half], lanes[half:], strict=True)]
        assert_same_bits(array.sum_(x), lanes[0])
    assert_same_bits(array.sum_(np.array([-0.0, -0.0], dtype)), np.dtype(dtype).type(0))


def test_a_reference_becomes_portable_and_leaves_its_inputs():
    from fastbp.kernels import numpy_ref

    x = np.linspace(-3, 3, 20).reshape(4, 5)
    before = x.copy()
    y = portable(numpy_ref.get("softmax_forward"))(x)
    assert type(y) is np.ndarray
    assert_same_bits(x, before)
    assert_same_bits(y, kernels.softmax_forward(x, numerics="portable"))


@every_dtype
@every_backend
def test_kernels_as_functions(dtype, backend):
    x = np.linspace(-3, 3, 50).reshape(5, 10).astype(dtype)
    want = kernels.softmax_forward(x, backend="numpy", numerics="portable")
    assert_same_bits(kernels.softmax_forward(x, backend=backend, numerics="portable"), want)
    with pytest.raises(ValueError, match="did you mean 'portable'"):
        kernels.softmax_forward(x, numerics="portible")


# ------------------------------------------------------------------------------------ narrow layers
def one_by_one(x, h, dy, w, relu=True):
    """Return what `dense_backward` and `dense_pair_backward` make, by a kernel for each."""
    calls = {name: partial(getattr(kernels, name), numerics="portable") for name in KERNELS}
    dh = calls["matmul_nt"](dy, w)
    dh = calls["relu_backward"](dh, h) if relu else dh
    narrow = {"db": calls["bias_backward"](dy), "dw": calls["matmul_tn"](h, dy), "dx": dh}
    return {**narrow, "db_before": calls["bias_backward"](dh), "dw_before": calls["matmul_tn"](x, dh)}


@every_dtype
@pytest.mark.parametrize("build", BUILDS)
def test_a_sweep_has_the_bits_of_one_call_after_the_other(build, dtype):
    """Around the lengths of vectors and the limits of a sweep, which the kernels' own cases hardly meet."""
    one, pair = KERNELS["dense_backward"], KERNELS["dense_pair_backward"]
    functions, table = [address(build, dtype, k.name) for k in (one, pair)], primitives_of(build, dtype, "portable")
    rng = np.random.default_rng(0)
    for k, n in itertools.product((1, 2, 4, 7, 8, 9, 16, 17, 31, 33, 48, 64, 65, 128, 129), range(1, 6)):
        batch, m = int(rng.choice([0, 1, 2, 7, 33])), int(rng.integers(6))
        for kind in ("ordinary", "hostile"):
            sizes = {"batch": batch, "m": m, "k": k, "n": n}
            given = operands(pair, sizes, dtype, kind, rng)
            for relu in (1.0, 0.0):
                want = one_by_one(*given.values(), relu)
                inputs = {"x": given["h"], "dy": given["dy"], "w": given["w"]}
                lengths, attributes = {d: sizes[d] for d in one.dims}, {"relu": relu}
                buffers = guarded(one, dtype, lengths, inputs, offset=k)
                status, got = run_guarded(functions[0], table, one, lengths, inputs, attributes, buffers)
                assert status == 0
                for name, result in got.items():
                    assert_same_bits(result, want[name], f"{kind} {sizes} relu {relu} {name}")
            want = one_by_one(*given.values())
            status, got = run_guarded(
                functions[1], table, pair, sizes, given, {}, guarded(pair, dtype, sizes, given, offset=k)
            )
            assert status == 0
            for name, result in got.items():
                assert_same_bits(result, want[name], f"{kind} {sizes} pair {name}")


@every_dtype
@pytest.mark.parametrize("build", BUILDS)
def test_a_column_does_not_depend_on_those_beside_it(build, dtype):
    """Few columns are made in another way than many."""
    kernel, rng = KERNELS["dense"], np.random.default_rng(0)
    function, table = address(build, dtype, "dense"), primitives_of(build, dtype, "portable")
    for m, k in itertools.product((1, 3, 8, 11, 16, 31, 32, 49), (1, 2, 3, 4, 5, 16, 33)):
        wide = {"batch": m, "k": k, "n": 20}
        inputs = operands(kernel, wide, dtype, "mixed", rng)
        for n in range(1, 6):
            sizes = {**wide, "n": n}
            few = {"x": inputs["x"], "w": inputs["w"][:, :n].copy(), "b": inputs["b"][:n].copy()}
            found = []
            for lengths, given in ((sizes, few), (wide, inputs)):
                buffers = guarded(kernel, dtype, lengths, given, offset=m)
                attributes = {"relu": float(k % 2)}
                status, got = run_guarded(function, table, kernel, lengths, given, attributes, buffers)
                assert status == 0
                found.append(got["y"][:, :n])
            assert_same_bits(*found, f"{sizes}")


@every_dtype
@pytest.mark.parametrize("build", BUILDS)
def test_what_is_added_to_a_product_on_its_way(build, dtype):
    """Tall tiles, others, wide ones, those of few rows or columns, chains that rest: as one call after the other."""
    rng, table = np.random.default_rng(0), primitives_of(build, dtype, "portable")
    names = "dense", "matmul_nt", "dense_add", "dense_add_both", "matmul_nt_add"
    functions = {name: address(build, dtype, name) for name in names}
    shapes = [(m, k, n) for m in (1, 2, 3, 5, 6, 7, 8, 13, 32, 33) for k, n in ((5, 3), (64, 64), (3, 17), (70, 40))]
    shapes += [(0, 3, 4), (4, 0, 5), (3, 4, 0), (9, 1, 1), (40, 1100, 70), (17, 600, 33), (64, 64, 1), (200, 9, 4)]
    shapes += [(1200, 20, 40)]

    def run(name, given, relu, at):
        kernel = KERNELS[name]
        given = {o.name: given[o.name] for o in kernel.inputs}
        sizes = kernel.sizes([given[o.name].shape if o.name in given else None for o in kernel.operands])
        attributes = dict.fromkeys(kernel.attributes, relu)
        buffers = guarded(kernel, dtype, sizes, given, offset=at)
        status, got = run_guarded(functions[name], table, kernel, sizes, given, attributes, buffers)
        assert status == 0
        return got

    for at, (m, k, n) in enumerate(shapes):
        for kind, relu in (("ordinary", 0.0), ("ordinary", 1.0), ("hostile", 1.0)):
            given = operands(KERNELS["dense_add"], {"batch": m, "k": k, "n": n}, dtype, kind, rng)
            given["a"], what = given["x"], f"{build} {m} {k} {n} {kind} {relu}"
            h = run("dense", given, relu, at)["y"]
            with np.errstate(all="ignore"):
                want = h + given["c"]
            assert_same_bits(run("dense_add", given, relu, at)["y"], want, what)
            both = run("dense_add_both", given, relu, at)
            assert_same_bits(both["h"], h, what)
            assert_same_bits(both["y"], want, what)
            given["b"] = np.ascontiguousarray(given["w"].T)
            with np.errstate(all="ignore"):
                want = run("matmul_nt", given, relu, at)["y"] + given["c"]
            assert_same_bits(run("matmul_nt_add", given, relu, at)["y"], want, what)


@every_dtype
@pytest.mark.parametrize("build", BUILDS)
def test_products_in_bands_have_the_bits_of_the_definition(build, dtype):
    """Of more rows, or of longer chains, than L2 holds; the last band is full, or of one row."""
    rng, table = np.random.default_rng(0), primitives_of(build, dtype, "portable")
    held = (1 << 18) // np.dtype(dtype).itemsize
    for name, k, n in itertools.product(("matmul_nn", "matmul_tn"), (33, 96), (20, 65)):
        kernel, function = KERNELS[name], address(build, dtype, name)
        band = held // (k + n)
        for rows in (2 * (band // 8 * 8 + 8), 5 * band, 5 * band + 1):
            a = rng.standard_normal((rows, k)).astype(dtype)
            b = rng.standard_normal((k if name == "matmul_nn" else rows, n)).astype(dtype)
            given = {"a": a, "b": b}
            want = array.matmul(a if name == "matmul_nn" else a.T, b)
            sizes = kernel.sizes([a.shape, b.shape, None])
            buffers = guarded(kernel, dtype, sizes, given)
            status, got = run_guarded(function, table, kernel, sizes, given, {}, buffers)
            assert status == 0
            assert_same_bits(got["y"], want, f"{build} {name} {rows} {k} {n}")


@every_dtype
@pytest.mark.parametrize("build", BUILDS)
def test_a_loss_and_its_gradient_at_once(build, dtype):
    kernel, rng = KERNELS["sparse_softmax_cross_entropy_and_gradient"], np.random.default_rng(0)
    function, table = address(build, dtype, kernel.name), primitives_of(build, dtype, "portable")
    row = {part: getattr(kernels, f"sparse_softmax_cross_entropy_{part}") for part in ("forward", "backward")}
    for batch, n in itertools.product((0, 1, 2, 7, 8, 15, 16, 33, 64, 65, 200), range(1, 6)):
        for kind, mean in itertools.product(("ordinary", "edges", "hostile"), (1.0, 0.0)):
            sizes = {"batch": batch, "n": n}
            if not batch and mean:
                continue
            given = operands(kernel, sizes, dtype, kind, rng)
            p, sample_loss, loss = row["forward"](*given.values(), numerics="portable", mean=mean)
            dlogits = row["backward"](p, given["y_true"], numerics="portable", mean=mean)
            buffers = guarded(kernel, dtype, sizes, given, offset=batch)
            status, got = run_guarded(function, table, kernel, sizes, given, {"mean": mean}, buffers)
            assert status == 0
            for name, want in {"sample_loss": sample_loss, "loss": loss, "dlogits": dlogits}.items():
                assert_same_bits(got[name], want, f"{kind} {sizes} mean {mean} {name}")


# ----------------------------------------------------------------------------------------- threads
@every_dtype
@pytest.mark.parametrize(
    "op", ["matmul_nn", "matmul_nt", "matmul_tn", "dense", "dense_add", "dense_add_both", "matmul_nt_add"]
)
def test_products_do_not_depend_on_threads(op, dtype):
    kernel, rng = KERNELS[op], np.random.default_rng(0)
    for m, k, n in ((300, 257, 131), (129, 1000, 10), (7, 900, 1030), (2000, 600, 3)):
        lengths = {"m": m, "batch": m, "k": k, "n": n}
        inputs = operands(kernel, {dim: lengths[dim] for dim in kernel.dims}, dtype, "ordinary", rng)
        results = []
        for count in (1, 2, 3, 16):
            fastbp.set_num_threads(count)
            found = getattr(kernels, op)(*inputs.values(), numerics="portable")
            results.append(found if isinstance(found, tuple) else (found,))
        for other in results[1:]:
            for one, first in zip(other, results[0], strict=True):
                assert_same_bits(one, first, f"{op} {m} {k} {n}")


@every_dtype
def test_sweeps_do_not_depend_on_threads(dtype):
    kernel, rng = KERNELS["dense_pair_backward"], np.random.default_rng(0)
    for k, n in ((64, 4), (37, 3)):
        inputs = operands(kernel, {"batch": 12000, "m": 3, "k": k, "n": n}, dtype, "ordinary", rng)
        want = one_by_one(*inputs.values())
        for count in (1, 2, 3, 16):
            fastbp.set_num_threads(count)
            got = kernels.dense_pair_backward(*inputs.values(), numerics="portable")
            for name, result in zip(("db", "dw", "db_before", "dw_before"), got, strict=True):
                assert_same_bits(result, want[name], f"{k} {n} {count} {name}")


@every_dtype
@pytest.mark.parametrize(
    ("name", "lengths"),
    [
        ("batch_norm_affine_forward", {"batch": 700, "n": 61}),
        ("batch_norm_affine_backward", {"batch": 700, "n": 61}),
        ("depthwise_dw", {"batch": 21, "height": 11, "width": 9, "c": 31, "m": 1}),
    ],
)
def test_arrays_of_images_do_not_depend_on_threads(name, lengths, dtype):
    kernel, rng = KERNELS[name], np.random.default_rng(0)
    attributes = {"kernel_height": 3, "kernel_width": 3} if name == "depthwise_dw" else {"relu": 1.0}
    sizes = sizes_of(kernel, lengths, {**kernel.attributes, **attributes})
    inputs = operands(kernel, sizes, dtype, "ordinary", rng)
    want = getattr(kernels, name)(*inputs.values(), numerics="portable", backend="numpy", **attributes)
    for count in (1, 2, 3, 16):
        fastbp.set_num_threads(count)
        got = getattr(kernels, name)(*inputs.values(), numerics="portable", **attributes)
        for one, first in zip(*(r if isinstance(r, tuple) else (r,) for r in (got, want)), strict=True):
            assert_same_bits(one, first, f"{name} {count}")


@pytest.mark.parametrize("name", [name for name, kernel in KERNELS.items() if kernel.split])
@every_dtype
def test_a_part_of_a_kernel_that_may_be_split_is_a_part_of_the_whole(name, dtype):
    kernel, function = KERNELS[name], getattr(kernels, name)
    sizes = sizes_of(kernel, {**dict.fromkeys(free_dims(kernel), 5), kernel.split: 1000})
    inputs = operands(kernel, sizes, dtype, "ordinary", np.random.default_rng(0))
    whole = function(*inputs.values(), numerics="portable")
    whole = whole if isinstance(whole, tuple) else (whole,)
    for part in (slice(0, 1), slice(16, 333), slice(990, 1000)):
        some = [inputs[o.name][part] if kernel.split in o.dims else inputs[o.name] for o in kernel.inputs]
        got = function(*some, numerics="portable")
        for one, all_ in zip(got if isinstance(got, tuple) else (got,), whole, strict=True):
            assert_same_bits(one, all_[part], name)


def test_updates_are_shared_among_threads():
    x, y = np.random.default_rng(0).standard_normal((64, 300)), np.arange(64) % 10
    found = []
    for n in (1, 2, 5):
        fastbp.set_num_threads(n)
        model = model_of(widths=(300, 400, 10))
        model.fit(x, y, epochs=3, seed=0, verbose=0)
        found.append(model.get_weights() + list(model.optimizer.get_state().values()))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert_same_bits(b, a)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_are_shared_among_threads(backend):
    """Normalisations and the softmax of a batch so large that threads pay: an uneven number of rows, the same bits."""
    x, y = np.random.default_rng(0).standard_normal((1003, 70)), np.arange(1003) % 40
    found = []
    for n in (1, 2, 3, 7):
        fastbp.set_num_threads(n)
        layers = [LayerNorm(), Dense(64, activation="softmax"), RMSNorm(), PReLU(), Dense(40, activation="log_softmax")]
        model = Sequential(layers, input_shape=70, seed=0)
        model.compile("adam", "mse", backend=backend, numerics="portable")
        model.fit(x, np.eye(40)[y], batch_size=1003, epochs=2, seed=0, verbose=0)
        found.append([*model.get_weights(), model.predict(x)])
    executor = model.program.executor
    cut = {call.kernel.name: executor.cut(call) for call in model.program.calls if call.kernel.split == "batch"}
    assert cut["layer_norm_forward"] == (0, [280, 280, 4], 70)
    assert cut["softmax_backward"] == (0, [256] * 4, 64) and cut["prelu_forward"] == (0, [256, 0, 256], 64)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert_same_bits(b, a)


def test_many_models_share_the_pool():
    x, y = np.random.default_rng(0).standard_normal((128, 300)), np.arange(128) % 10
    fastbp.set_num_threads(2)
    results = [None] * 4

    def work(k):
        model = model_of(widths=(300, 300, 10))
        model.fit(x, y, batch_size=128, epochs=10, seed=0, verbose=0)
        results[k] = model.get_weights()

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert_same_bits(b, a)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_its_own_threads():
    found = script("""
        import os, numpy as np, fastbp
        from fastbp import kernels
        fastbp.set_num_threads(2)
        a = np.random.default_rng(0).standard_normal((300, 300))
        want = kernels.matmul_nn(a, a, numerics="portable")
        for _ in range(3):
            child = os.fork()
            if child == 0:
                same = (kernels.matmul_nn(a, a, numerics="portable") == want).all()
                os._exit(0 if same else 1)
            assert (kernels.matmul_nn(a, a, numerics="portable") == want).all()
            print(os.waitpid(child, 0)[1])
    """)
    assert found.split() == ["0", "0", "0"]


@pytest.mark.skipif(os.name == "nt", reason="there is no pool of threads")
def test_the_number_of_threads():
    before = fastbp.get_num_threads()
    assert fastbp.set_num_threads(3) == before and fastbp.get_num_threads() == 3
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=r"n is .*at least 1"):
            fastbp.set_num_threads(wrong)
    for wrong in (1.5, "2", None, True):
        with pytest.raises(TypeError, match=r"n is .*integer"):
            fastbp.set_num_threads(wrong)
    assert fastbp.get_num_threads() == 3
    ask = "import fastbp; print(fastbp.get_num_threads())"
    assert script(ask, FASTBP_NUM_THREADS="5") == "5"
    assert int(script(ask, FASTBP_NUM_THREADS="")) == len(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, "-c", ask], env={**os.environ, "FASTBP_NUM_THREADS": "many"}, capture_output=True, text=True
    )
    assert done.returncode and "FASTBP_NUM_THREADS is 'many'; it must be a positive integer" in done.stderr


def test_sleeping_threads_take_no_time():
    used = script("""
        import time, numpy as np, fastbp
        from fastbp import kernels
        fastbp.set_num_threads(4)
        a = np.ones((300, 300))
        kernels.matmul_nn(a, a, numerics="portable")
        time.sleep(0.2)
        start = time.process_time()
        time.sleep(1)
        print(time.process_time() - start)
    """)
    assert float(used) < 0.1


# --------------------------------------------------------------------------------------- selfcheck
def test_selfcheck(capsys):
    certificate = fastbp.selfcheck()
    assert certificate.ok, str(certificate)
    text = capsys.readouterr().out
    assert "Every promise holds on this machine." in text
    assert all(name in text for name in HASHES)


def test_selfcheck_names_what_is_broken(monkeypatch):
    name = next(iter(TRIALS))
    monkeypatch.setattr(TRIALS[name], "sha256", "0" * 64)
    monkeypatch.setattr(primitives, "check", lambda dtype: 1 / 0)
    certificate = fastbp.selfcheck(verbose=False)
    assert not certificate.ok
    wrong = [what for what, verdict in certificate.lines if verdict != "ok"]
    assert wrong == ["NumPy's loops return NumPy's bits", name]
    assert "A promise is broken" in str(certificate)


def test_selfcheck_sees_large_angles(monkeypatch):
    sin = elementary.sin
    monkeypatch.setattr(elementary, "sin", lambda x: np.where(abs(x) > 2.0**30, 0, sin(x)).astype(x.dtype))
    for dtype in ("float32", "float64"):
        with pytest.raises(AssertionError, match="sin at level"):
            _check_levels(dtype)
