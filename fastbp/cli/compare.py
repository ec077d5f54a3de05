"""NumPy trains, too: how long that takes, and whether it ends with the same bits."""

import time

from ..kernels.arrays import same_bits
from ..kernels.backend import REFERENCE

__all__ = ["compare"]

#: Seconds that NumPy may train for the comparison.
BUDGET = 3.0


def timed_fit(model, x, y, epochs, options):
    """Train; return the seconds a step took, without what is done once."""
    _ = model.program  # compiles it
    rows, options = len(x), dict(options)
    if options.get("sample_weight") is not None:
        options["sample_weight"] = options["sample_weight"][:rows]
    start = time.perf_counter()
    model.fit(x, y, epochs=epochs, verbose=0, **options)
    return (time.perf_counter() - start) / len(model.batch_losses)


def compare(make, model, x, y, epochs, options, output):
    """Repeat the training, or as much of it as a budget of time allows, with NumPy; report times and bits.

    Parameters
    ----------
    make : callable
        ``make(backend, numerics)`` returns the model as it was before the training.
    model : Sequential
        After it.
    x, y : ndarray
    epochs : int
    options : dict
        Of `fit`.
    output : Output

    Returns
    -------
    bool
        Whether losses, weights and the optimizer's state are those of the definition, bit for bit.
    """
    if model.backend == REFERENCE:
        output.say("NumPy          is the backend; there is nothing to compare")
        return True
    portable = model.numerics == "portable"
    rows, some = _affordable(make(REFERENCE, model.numerics), x, y, epochs, options)
    ours, reference = make(model.backend, model.numerics), make(REFERENCE, model.numerics)
    plain = make(REFERENCE, "numpy") if portable else reference
    trained = [ours, reference, plain] if portable else [ours, reference]
    seconds = {id(m): timed_fit(m, x[:rows], y[:rows], some, options) for m in trained}
    steps = len(ours.batch_losses)
    mine, numpys = 1e6 * seconds[id(ours)], 1e6 * seconds[id(plain)]
    times = numpys / mine
    output.say(f"time a step    {mine:.1f} us, NumPy {numpys:.1f} us: {times:.1f} times as fast, over {steps} steps")
    pairs = [(ours, reference)]
    if rows == len(x) and some == epochs:
        pairs.append((model, reference))
    different = sorted({name for pair in pairs for name in _differences(*pair)})
    whose = "the portable definition's" if portable else "NumPy's"
    if different:
        output.say(f"bits           NOT all equal to {whose} after {steps} steps; different: {', '.join(different)}")
    else:
        equal = f"every bit of losses, weights and optimizer state equals {whose}"
        output.say(f"bits           {equal} after {steps} steps")
    output.facts["comparison"] = {
        "microseconds": mine, "microseconds of NumPy": numpys, "steps": steps, "different": different,
    }  # fmt: skip
    return not different


def _affordable(probe, x, y, epochs, options):
    """Return how many rows and epochs a model can train on within the budget."""
    batch = min(options["batch_size"], len(x))
    some = min(len(x), 5 * batch)
    steps = BUDGET / min(timed_fit(probe, x[:some], y[:some], 1, options) for _ in range(2))
    rows = min(len(x), max(1, int(steps)) * batch)
    return rows, max(1, min(epochs, int(steps * batch / rows)))


def _differences(a, b):
    """Return the names of what differs, in any bit, between two trained models."""
    found = []
    for name, arrays in {
        "losses": ([a.batch_losses], [b.batch_losses]),
        "weights": (a.get_weights(), b.get_weights()),
        "optimizer state": (a.optimizer.get_state().values(), b.optimizer.get_state().values()),
    }.items():
        if not all(map(same_bits, *arrays)):
            found.append(name)
    return found
