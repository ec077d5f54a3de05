"""Ratings that are predicted from who rates what: a wide and deep model beside either part, and beside means.

Run ``python docs/examples/recommender.py``; it fails if the model does not gain what the claim says.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import fastbp

CLAIM = 0.05  # by how much less the RMSE is than that of the better part alone
USERS, ITEMS, HIDDEN, RATINGS, TESTS = 200, 120, 3, 5_000, 1_000
FACTORS, UNITS, LR, EPOCHS, BATCH, DECAY = 4, 32, 0.01, 30, 64, 0.5


def table(seed):
    """Return ratings from 1 to 5 and what they depend on: users, items, and two numbers of each rating.

    A user and an item have a bias and `HIDDEN` tastes each, all normal. How old the item was then (in [0, 1]) and
    whether it was rated in the evening (0 or 1) are known: a rating is 3.4 + both biases + the product of the tastes
    - 0.8 of the age + 0.6 in the evenings + noise of deviation 0.4, rounded to a half and cut at 1 and 5.
    """
    rng = np.random.default_rng(seed)
    users, items = rng.integers(USERS, size=RATINGS), rng.integers(ITEMS, size=RATINGS)
    of_user, of_item = rng.normal(0, 0.4, USERS), rng.normal(0, 0.5, ITEMS)
    tastes, traits = rng.normal(0, 0.6, (USERS, HIDDEN)), rng.normal(0, 0.6, (ITEMS, HIDDEN))
    age, evening = rng.random(RATINGS), rng.integers(2, size=RATINGS)
    ratings = 3.4 + of_user[users] + of_item[items] + (tastes[users] * traits[items]).sum(axis=1)
    ratings += -0.8 * age + 0.6 * evening + rng.normal(0, 0.4, RATINGS)
    x = {"user": users[:, None], "item": items[:, None], "numbers": np.stack([age, evening], axis=1)}
    return x, np.clip(np.round(2 * ratings) / 2, 1, 5)[:, None]


def recommender(parts, seed):
    """Return a compiled model: "wide" adds up what each input says, "deep" is a net of what they say together."""
    inputs = {
        "user": fastbp.Input(1, dtype="int64"), "item": fastbp.Input(1, dtype="int64"), "numbers": fastbp.Input(2),
    }  # fmt: skip

    def looked_up(name, rows, n):
        return fastbp.Flatten()(fastbp.Embedding(rows, n)(inputs[name]))

    outputs = []
    if "wide" in parts:
        biases = looked_up("user", USERS, 1) + looked_up("item", ITEMS, 1)
        outputs.append(biases + fastbp.Dense(1)(inputs["numbers"]))
    if "deep" in parts:
        user, item = looked_up("user", USERS, FACTORS), looked_up("item", ITEMS, FACTORS)
        known = fastbp.layers.Concatenate()([user, item, user * item, inputs["numbers"]])
        outputs.append(fastbp.Dense(1)(fastbp.Dense(UNITS, activation="relu")(known)))
    # 3.4 is near the mean of all ratings
    model = fastbp.Model(inputs, sum(outputs[1:], outputs[0]) + 3.4, seed=seed)
    rate = fastbp.schedules.CosineDecay(LR, EPOCHS * -(-(RATINGS - TESTS) // BATCH))
    model.compile(fastbp.optimizers.AdamW(lr=rate, weight_decay=DECAY), "mse", numerics="portable")
    return model


def rmse(predictions, ratings):
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.mean((predictions - ratings) ** 2)))


def means(x, ratings, known):
    """Return what a rating is by the means of its user and its item, beside that of all."""
    mean = ratings[known].mean()
    parts = []
    for name, n in (("item", ITEMS), ("user", USERS)):
        ids, left = x[name][:, 0], ratings[:, 0] - mean - sum(parts)
        counts = np.bincount(ids[known], minlength=n)
        # few ratings say little: as if there were five more of the mean
        parts.append((np.bincount(ids[known], left[known], minlength=n) / (counts + 5))[ids])
    return (mean + sum(parts))[:, None]


def main(arguments=None):
    """Train, judge and draw; return the RMSE of the test ratings by method, for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many, of tables, weights and batches")
    parser.add_argument("--picture", default=Path(__file__).with_suffix(".png"), help="where to write it")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}; it must be at least 1")
    print(f"{RATINGS:,} ratings of {ITEMS} items by {USERS} users, {TESTS:,} of them to test; seeds: {options.seeds}")
    methods = {"wide": ["wide"], "deep": ["deep"], "wide and deep": ["wide", "deep"]}
    found = {name: [] for name in ("means", *methods)}
    for seed in range(options.seeds):
        x, ratings = table(seed)
        known, test = slice(TESTS, None), slice(TESTS)
        found["means"].append(rmse(means(x, ratings, known)[test], ratings[test]))
        curves = {}
        for name, parts in methods.items():
            model = recommender(parts, seed)
            of_known, of_test = ({key: array[which] for key, array in x.items()} for which in (known, test))
            history = model.fit(
                of_known, ratings[known], batch_size=BATCH, epochs=EPOCHS, seed=seed, verbose=0,
                validation_data=(of_test, ratings[test]),
            )  # fmt: skip
            predictions = model.predict(of_test)
            found[name].append(rmse(predictions, ratings[test]))
            curves[name] = history.history["val_loss"]
    print(f"{'method':14} {'parameters':>10}  {'RMSE':>6}  {'worst':>6}")
    for name, errors in found.items():
        count = recommender(methods[name], 0).count_params() if name in methods else USERS + ITEMS + 1
        print(f"{name:14} {count:10,}  {np.mean(errors):6.4f}  {np.max(errors):6.4f}")
    draw(options.picture, curves, predictions, ratings[test], of_test["numbers"])
    print(f"wrote {options.picture}")
    gain = 1 - np.mean(found["wide and deep"]) / min(np.mean(found["wide"]), np.mean(found["deep"]))
    print(f"the RMSE of both is {gain:.1%} less than that of the better part alone")
    if gain < CLAIM:
        sys.exit(f"that is less than {CLAIM:.0%}")
    return {name: np.array(errors) for name, errors in found.items()}


def draw(path, curves, predictions, ratings, numbers):
    """Draw how the losses fall, and ratings beside what the last model predicts of them."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, losses in curves.items():
        left.plot(range(1, 1 + len(losses)), np.sqrt(losses), label=name)
    left.set(xlabel="epoch", ylabel="RMSE", title="Test ratings, the last seed")
    left.legend(frameon=False)
    values = np.unique(ratings)
    boxes = [predictions[ratings == value] for value in values]
    right.boxplot(boxes, positions=values, widths=0.3, showfliers=False)
    right.plot(values, values, color="0.6", lw=0.8)
    right.set(xlabel="rating", ylabel="prediction", title="Wide and deep", xlim=(0.7, 5.3), ylim=(0.7, 5.3))
    right.set_xticks(range(1, 6), range(1, 6))
    figure.savefig(path)


if __name__ == "__main__":
    main()
