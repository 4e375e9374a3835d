"""Simulations in blocks of 2 samples instead of 8: the same stages, in a quarter of the time.

The command is loaded with it, once for all processes.
"""

import autophasenn.cli
import autophasenn.cli.terminal
import autophasenn.pipeline.simulate

autophasenn.pipeline.simulate.BLOCK = 2
