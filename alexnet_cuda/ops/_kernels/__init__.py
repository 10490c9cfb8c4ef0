"""The methods of `ops.kernels.Kernels`, one file for each family of operations."""
