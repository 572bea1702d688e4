"""What HTTP servers of a run log: defects of ours, and not what a peer sent that was no HTTP."""

import logging

from aiohttp.http_exceptions import HttpProcessingError


def _ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


HTTP_LOG = logging.getLogger("hardware_sim.http")
HTTP_LOG.addFilter(_ours)
