"""The first train step of 64-128-10 on 32 rows, as a whole script with fastbp."""


def main():
    """Train the first step."""
    import numpy as np

    import fastbp

    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 64), dtype=np.float32)
    y_true = rng.integers(0, 10, 32)
    model = fastbp.Sequential([fastbp.Dense(128, activation="relu"), fastbp.Dense(10)], seed=0)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    print(model.train_on_batch(x, y_true))


if __name__ == "__main__":
    main()
