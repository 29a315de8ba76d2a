"""`python -m serving.cli`."""

import sys

from serving.cli.command import main

sys.exit(main())
