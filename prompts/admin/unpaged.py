"""Pages of Django's lists over tables that are too large to be counted."""

from typing import TYPE_CHECKING, cast

from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.utils.functional import cached_property
from typing_extensions import override

if TYPE_CHECKING:
    AnyPaginator = Paginator[object]  # generic in the stubs only
else:
    AnyPaginator = Paginator

# Of a list that staff leaf through; what is older is found by a search.
MAX_PAGES = 10


class UncountedPaginator(AnyPaginator):
    """Counts no further than it shows."""

    @cached_property
    @override
    def count(self) -> int:
        """How many there are, but at most so many as fit into the pages that are shown."""
        rows = cast("QuerySet[Model]", self.object_list)
        return len(rows.values_list("pk", flat=True)[: MAX_PAGES * self.per_page])
