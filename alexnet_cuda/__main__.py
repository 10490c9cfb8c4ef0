"""`python -m alexnet_cuda` is the command `alexnet-cuda`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
