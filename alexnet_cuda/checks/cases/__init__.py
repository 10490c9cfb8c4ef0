"""The case tables: one module for each family of operations, collected here by name."""

from . import augment, conv, dropout, fused, gemm, lrn, pointwise, pool, sgd, softmax

_FAMILIES = (conv, gemm, pointwise, lrn, pool, dropout, softmax, sgd, fused, augment)

OPERATIONS = {operation.name: operation for family in _FAMILIES for operation in family.OPERATIONS}
