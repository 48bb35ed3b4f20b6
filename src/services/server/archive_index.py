"""The index as C-FIND, C-GET and C-MOVE see it: levels by their names, and files where the archive keeps them."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path

from services.archive.index.reader import IndexReader
from services.conditions import Described
from services.query.keys import Level
from services.query.requests import Record
from services.send import InstanceFile, Need


class ArchiveIndex:
    """Answers from one index (`services.find.Matches`, `services.retrieve.holdings.Holdings`).

    Args:
        reader: of the index.
        data_directory: what the paths of the index are relative to.
    """

    def __init__(self, reader: IndexReader, data_directory: Path) -> None:
        self._reader = reader
        self._root = str(data_directory.absolute())

    def search(
        self, level: Level, conditions: Mapping[int, Described], tags: Collection[int]
    ) -> AsyncIterator[Sequence[Record]]:
        """What may match, in pages; see `IndexReader.search`."""
        return self._reader.search(level.value, conditions, tags)

    async def needs(self, level: Level, unique_keys: Mapping[int, Sequence[str]]) -> Mapping[Need, int]:
        """How many instances are selected, by SOP class and transfer syntax."""
        return await self._reader.needs(level.value, unique_keys)

    async def instances(
        self, level: Level, unique_keys: Mapping[int, Sequence[str]], needs: Collection[Need] | None = None
    ) -> AsyncGenerator[Sequence[InstanceFile], None]:
        """The files of the selected instances, in pages."""
        async for page in self._reader.instances(level.value, unique_keys, needs):
            yield [
                InstanceFile(
                    path=f"{self._root}/{each.path}",
                    sop_class_uid=each.sop_class_uid,
                    sop_instance_uid=each.sop_instance_uid,
                    transfer_syntax_uid=each.transfer_syntax_uid,
                    data_set_offset=each.data_set_offset,
                    size=each.data_set_offset + each.size,
                )
                for each in page
            ]
