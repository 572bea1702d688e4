"""`python -m port_gateway`."""

import sys

from port_gateway.cli import main

sys.exit(main())
