"""What transfer is computed from: matrices of scores, mixtures of domains, the words that domains share."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sixfold.data.mixing import mixture, shares
from sixfold.errors import UsageError
from sixfold.metrics import transfer

MATRIX = np.array([[0.9, 0.6, 0.5], [0.8, 0.9, 0.7], [0.7, 0.8, 1.0]])


def test_the_matrix_is_summed_up_as_lopez_paz_and_ranzato_define_it() -> None:
    assert transfer.average(MATRIX) == pytest.approx((0.7 + 0.8 + 1.0) / 3)
    assert transfer.backward(MATRIX) == pytest.approx(((0.7 - 0.9) + (0.8 - 0.9)) / 2)
    untrained = np.array([0.5, 0.4, 0.5])
    assert transfer.forward(MATRIX, untrained) == pytest.approx(((0.6 - 0.4) + (0.7 - 0.5)) / 2)


def test_forgetting_is_measured_from_the_best_score_on_the_way() -> None:
    assert transfer.forgetting(MATRIX) == pytest.approx(((0.9 - 0.7) + (0.9 - 0.8)) / 2)
    later = MATRIX.copy()
    later[1, 0] = 0.95  # domain 0 got better while domain 1 was learnt
    assert transfer.forgetting(later) == pytest.approx(((0.95 - 0.7) + (0.9 - 0.8)) / 2)


def test_one_domain_forgets_nothing_that_could_be_measured() -> None:
    one = np.array([[0.9]])
    assert transfer.average(one) == 0.9
    assert all(map(math.isnan, (transfer.backward(one), transfer.forward(one, one[0]), transfer.forgetting(one))))


def test_a_temperature_brings_small_domains_up() -> None:
    sizes = {"large": 10_000, "small": 100}
    assert shares(sizes, 1) == {"large": 10_000 / 10_100, "small": 100 / 10_100}
    assert shares(sizes, 2) == {"large": pytest.approx(100 / 110), "small": pytest.approx(10 / 110)}
    assert shares(sizes, math.inf) == {"large": 0.5, "small": 0.5}


@pytest.mark.parametrize("temperature", [0.5, 0.0, -1.0, math.nan])
def test_a_temperature_that_starves_small_domains_is_refused(temperature: float) -> None:
    with pytest.raises(UsageError, match="small domains starve"):
        shares({"a": 1, "b": 2}, temperature)


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=6),
    st.floats(1, 50) | st.just(math.inf),
    st.integers(0, 2**64 - 1),
)
def test_a_mixture_has_as_many_rows_and_starves_no_domain(counts: list[int], temperature: float, seed: int) -> None:
    sizes = {f"d{place}": count for place, count in enumerate(counts)}
    found = mixture(sizes, temperature, seed)
    assert sum(map(len, found.values())) == sum(counts)
    for name, places in found.items():
        assert places
        often = np.bincount(places, minlength=sizes[name])
        assert len(often) == sizes[name]
        assert often.max() - often.min() <= 1
    if temperature == 1:
        assert found == {name: list(range(size)) for name, size in sizes.items()}
