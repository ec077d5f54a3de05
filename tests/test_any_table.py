"""Whatever table there may be: it is learnt and prepared, or refused in words."""

import json
import warnings

import numpy as np
import pytest

from fastbp.kernels.arrays import same_bits as same
from fastbp.table import Preparation

hypothesis = pytest.importorskip("hypothesis", reason="the package hypothesis is not installed")
st = hypothesis.strategies

EDGE = [0.0, -0.0, 5e-324, 1e-310, 1.0, -1.5, 1e9, 1e9 + 1e-7, 1.7e308, -1.7e308]
NUMBERS = st.one_of(
    st.none(), st.integers(-(2**70), 2**70), st.floats(allow_infinity=False), st.sampled_from(EDGE)
)
CELLS = {
    "number": NUMBERS,
    "text": st.one_of(st.none(), st.text(max_size=3), st.sampled_from(["a", "b", "007", "7"])),
    "boolean": st.one_of(st.none(), st.booleans()),
    "date": st.one_of(st.none(), st.datetimes(), st.dates()),
    "any": st.one_of(NUMBERS, st.floats(), st.text(max_size=2), st.booleans(), st.dates(), st.binary(max_size=2)),
}


@hypothesis.given(st.data())
@hypothesis.settings(
    deadline=None, database=None, derandomize=True, max_examples=200, suppress_health_check=[*hypothesis.HealthCheck]
)
def test_any_table_is_learnt_or_refused_in_words(data):
    rows = data.draw(st.integers(1, 30))
    kinds = data.draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=3))

    def table(n):
        return {f"c{k}": data.draw(st.lists(CELLS[kind], min_size=n, max_size=n)) for k, kind in enumerate(kinds)}

    def refused(function, *args):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                warnings.simplefilter("error", RuntimeWarning)
                return function(*args)
        except (TypeError, ValueError) as error:
            assert any(word in str(error) for word in ("column", "table", "y", "x")) and "\n" not in str(error)
            return None

    plain = st.one_of(st.sampled_from(EDGE), st.floats(allow_infinity=False, allow_nan=False))
    targets = data.draw(st.sampled_from([plain, st.sampled_from(["a", "b", "c"]), st.integers(0, 2), CELLS["any"]]))
    first, y = table(rows), data.draw(st.lists(targets, min_size=rows, max_size=rows))
    preparation = refused(lambda: Preparation().fit(first, y))
    if preparation is None:
        return
    found = preparation.transform(first)
    assert found.shape == (rows, preparation.n_features) and np.isfinite(found).all()
    assert len(preparation.transform_target(y)) == rows
    other = Preparation.from_config(json.loads(json.dumps(preparation.get_config())))
    assert same(other.transform(first), found) and same(other.transform_target(y), preparation.transform_target(y))
    second = refused(preparation.transform, table(4))
    assert second is None or (second.shape == (4, preparation.n_features) and np.isfinite(second).all())
