"""What model servers really send, and what must come of it: every shape, each seen in the wild."""

from tests.support.model_shapes.asking import REFUSALS
from tests.support.model_shapes.calls import CALLS
from tests.support.model_shapes.chunks import CHUNKS, THOUGHTS
from tests.support.model_shapes.ends import ENDS, STATUSES
from tests.support.model_shapes.framing import FRAMING, WHOLES

SHAPES = [*FRAMING, *WHOLES, *CHUNKS, *THOUGHTS, *ENDS, *STATUSES, *CALLS, *REFUSALS]
