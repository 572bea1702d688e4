"""`python -m hardware_sim` is `hardware-sim`."""

import sys

from hardware_sim.cli import main

sys.exit(main())
