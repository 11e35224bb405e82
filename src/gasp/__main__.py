"""``python -m gasp`` is the command ``gasp``."""

import sys

from gasp.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
