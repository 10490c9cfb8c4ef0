"""What all tests share: those for a GPU are skipped, with the reason, where there is none that can be used."""

import pytest

from alexnet_cuda import config


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") is not None and (problem := config.cuda_problem()) is not None:
        pytest.skip(problem)
