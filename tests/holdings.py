"""Holdings over a folder of Part 10 files: every one of them is selected, whatever is asked for."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path

from services.query.keys import Level
from services.send import InstanceFile, Need, read_instance


class FolderHoldings:
    """The files of a folder, by name.

    Attributes:
        asked: level and unique keys of each selection.
        files: what is held; a test may change it.
    """

    def __init__(self, folder: Path, *, page: int = 500) -> None:
        self.files = [read_instance(path) for path in sorted(folder.rglob("*.dcm"))]
        self.asked: list[tuple[Level, Mapping[int, Sequence[str]]]] = []
        self._page = page

    async def needs(self, level: Level, unique_keys: Mapping[int, Sequence[str]]) -> Mapping[Need, int]:
        self.asked.append((level, unique_keys))
        needs: dict[Need, int] = {}
        for file in self.files:
            needs[file.needs] = needs.get(file.needs, 0) + 1
        return needs

    async def instances(
        self, level: Level, unique_keys: Mapping[int, Sequence[str]], needs: Collection[Need] | None = None
    ) -> AsyncIterator[Sequence[InstanceFile]]:
        files = [file for file in self.files if needs is None or file.needs in needs]
        for start in range(0, len(files), self._page):
            yield files[start : start + self._page]
