"""Loss by position: which positions go together, and what their losses come to."""

from __future__ import annotations

import numpy as np
import pytest

from sixfold.metrics.positions import ENDS, by_position


def test_each_stretch_is_as_long_as_all_before_it() -> None:
    assert ENDS[:4] == (64, 128, 256, 512)
    assert 8192 in ENDS


def test_losses_are_means_over_the_targets_of_a_stretch() -> None:
    nats = np.array([[10.0, 8.0], [20.0, 0.0], [30.0, 4.0]])
    targets = np.array([[10, 4], [10, 0], [10, 4]])
    near, far = by_position(nats, targets, seed=1)
    assert (near.first, near.last, far.first, far.last) == (1, 64, 65, 128)
    assert near.loss.value == pytest.approx(2.0)
    assert far.loss.value == pytest.approx(12 / 8)
    assert (near.loss.count, far.loss.count) == (30, 8)
    assert 1.0 <= near.loss.low < 2.0 < near.loss.high <= 3.0
    assert far.to_dict()["loss"]["percent"] is False


def test_a_stretch_without_targets_is_left_out() -> None:
    nats, targets = np.array([[1.0, 0.0, 3.0]] * 5), np.array([[1, 0, 2]] * 5)
    assert [(one.first, one.last) for one in by_position(nats, targets, seed=1)] == [(1, 64), (129, 256)]
    assert by_position(nats[:0], targets[:0], seed=1) == []
    assert by_position(nats * 0, targets * 0, seed=1) == []
