"""Level 1 and 2: the reference against direct loops in float64 that share nothing with it."""

import numpy as np
import pytest
from expected import expected
from tables import DTYPES, assert_right, drawn, is_large, parameters

from alexnet_cuda import ops
from alexnet_cuda.checks.runner import VALUES
from alexnet_cuda.checks.table import widened

# Of AlexNet's own layers integers alone, where results must be equal: the loops are slow.
CASES = [
    pytest.param(*each.values, values, id=f"{each.id}-{values}")
    for each in parameters()
    for values in VALUES
    if values == "integers" or not is_large(each.values[1])
]


@pytest.mark.parametrize("operation, case, values", CASES)
def test_reference_in_float32_and_float64_is_what_direct_loops_give(operation, case, values):
    # Both dtypes get the same numbers, those float32 can hold, so that the slow loops run once.
    kwargs = drawn(operation, case, values).cast(DTYPES["float32"])
    wide = widened(kwargs)
    want = expected(operation.name, widened(kwargs))
    with ops.backend("reference"):
        got = operation.run({k: v.copy() if isinstance(v, np.ndarray) else v for k, v in kwargs.items()})
        got_wide = operation.run({k: v.copy() if isinstance(v, np.ndarray) else v for k, v in wide.items()})
    assert_right(operation, case, values, kwargs, got, want)
    assert_right(operation, case, values, wide, got_wide, want)


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("operation, case", parameters(large=False))
def test_reference_in_bfloat16_rounds_once(operation, case, values):
    kwargs = drawn(operation, case, values).cast(DTYPES["bfloat16"])
    want = expected(operation.name, widened(kwargs))
    with ops.backend("reference"):
        got = operation.run(drawn(operation, case, values).cast(DTYPES["bfloat16"]))
    assert_right(operation, case, values, kwargs, got, want)
