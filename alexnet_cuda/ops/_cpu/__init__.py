"""The parts of `alexnet_cuda.ops.cpu`, one file a family of operations."""
