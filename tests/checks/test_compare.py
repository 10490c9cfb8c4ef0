"""The comparison every other test leans on: what it must let pass, and what it must not."""

import numpy as np
import pytest

from alexnet_cuda.checks.compare import compare


def test_errors_up_to_the_bound_pass():
    want, bound = np.array([1.0, 2.0]), np.array([0.1, 0.0])
    assert compare(np.array([1.1, 2.0]), want, np.array([0.11, 0.0])).passed
    assert not compare(np.array([1.2, 2.0]), want, bound).passed
    assert not compare(np.array([1.0, np.nextafter(2.0, 3)]), want, bound).passed


@pytest.mark.parametrize("bad", (np.nan, np.inf, -np.inf))
def test_what_is_not_finite_fails_however_wide_the_bound(bad):
    result = compare(np.array([0.0, bad]), np.zeros(2), np.full(2, 1e300))
    assert not result.passed
    assert result.index == (1,)
    assert f"at [1]: got {bad:g}, wanted 0" in result.message


def test_what_should_not_be_finite_must_be_the_same():
    want = np.array([np.nan, np.inf])
    assert compare(want, want, np.zeros(2)).passed
    assert not compare(np.array([np.nan, -np.inf]), want, np.zeros(2)).passed
    assert not compare(np.array([0.0, np.inf]), want, np.full(2, np.inf)).passed


def test_the_worst_element_is_reported_against_its_own_bound():
    got, bound = np.array([[1.0, 0.5]]), np.array([[10.0, 0.25]])
    result = compare(got, np.zeros((1, 2)), bound)
    assert (result.index, result.error, result.bound, result.passed) == ((0, 1), 0.5, 0.25, False)


def test_shapes_must_agree():
    assert "got shape [2], wanted [3]" in compare(np.zeros(2), np.zeros(3), np.zeros(3)).message


def test_single_values():
    assert compare(np.float32(1), np.float64(1), np.float64(0)).passed
    assert not compare(np.array(1.0), np.array(1.5), np.array(0.1)).passed
