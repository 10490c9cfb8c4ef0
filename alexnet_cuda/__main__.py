"""`python -m alexnet_cuda` is the command `alexnet-cuda`."""

import sys

try:
    from .cli import main
except KeyboardInterrupt:
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(main())
