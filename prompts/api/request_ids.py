"""The id of a request, in its answer's `x-request-id` and in the logs."""

import random
import re

# A client's id that may be used: short, and without characters that break a log line or a header.
SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def choose_request_id(given: str | None) -> str:
    """The client's own id when it is sane, else a new one."""
    return given if given is not None and SANE_ID.fullmatch(given) else f"req_{random.getrandbits(128):032x}"
