"""A script without a guard; it names the mark, schedulable."""

import sys

sys.exit(3)
