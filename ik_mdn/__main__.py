"""`python -m ik_mdn` is `ik-mdn`."""

import sys

from ik_mdn.cli import main

if __name__ == "__main__":  # workers of `generate` import this module again
    sys.exit(main())
