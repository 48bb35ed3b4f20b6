"""Why a data set is refused (PS3.4 B.2.3, "cannot understand").

InvalidDataSet
+-- TruncatedDataSet     ends inside an element, an item or a sequence
+-- DataSetTooDeep       sequences nested beyond our limit
+-- TooManyElements      more elements than our limit
+-- InflatesTooFar       a deflated data set beyond our limits
"""

from services.archive.errors import ArchiveError


class InvalidDataSet(ArchiveError):
    """The bytes are no data set, or one beyond our limits."""


class TruncatedDataSet(InvalidDataSet):
    """The data set ends inside an element, an item or a sequence."""


class DataSetTooDeep(InvalidDataSet):
    """Sequences are nested more deeply than we follow."""


class TooManyElements(InvalidDataSet):
    """More elements and items than we follow."""


class InflatesTooFar(InvalidDataSet):
    """A deflated data set grows beyond our limits, as a decompression bomb does."""
