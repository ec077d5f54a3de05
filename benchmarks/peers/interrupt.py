"""How long `fit` takes to answer Ctrl-C, measured in a process of its own; prints the seconds as JSON.

Usage: ``python interrupt.py N_IN-...-N_OUT ROWS BATCH TRIALS``
"""

import json
import os
import signal
import sys
import threading
import time

import numpy as np


def latency(model, x, y, batch, delay):
    """Return the seconds from SIGINT to the KeyboardInterrupt that reaches the caller of `fit`."""
    sent = []

    def interrupt():
        time.sleep(delay)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        model.fit(x, y, batch_size=batch, epochs=10**9, verbose=0)
    except KeyboardInterrupt:
        answered = time.perf_counter()
    thread.join()
    return answered - sent[0]


def main():
    """Interrupt several fits, at different moments, and train on afterwards."""
    import fastbp

    # a shell starts jobs in the background with SIGINT ignored, and they inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    widths = [int(n) for n in sys.argv[1].split("-")]
    rows, batch, trials = map(int, sys.argv[2:])
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, widths[0]), dtype=np.float32)
    y = rng.integers(0, widths[-1], rows)
    model = fastbp.Sequential([*(fastbp.Dense(n, activation="relu") for n in widths[1:-1]), fastbp.Dense(widths[-1])])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=batch, verbose=0)
    seconds = [latency(model, x, y, batch, delay) for delay in rng.uniform(0.1, 0.3, trials)]
    history = model.fit(x, y, batch_size=batch, verbose=0)
    assert np.isfinite(history.history["loss"]).all(), "the model is not usable after Ctrl-C"
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
