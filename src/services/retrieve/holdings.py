"""What C-GET and C-MOVE take instances from."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Protocol

from services.query.keys import Level
from services.send import InstanceFile, Need


class Holdings(Protocol):
    """The instances that can be retrieved.

    A selection is a level and the unique keys down to it, by tag: `{PATIENT_ID: ("4711",), STUDY_INSTANCE_UID: (...)}`.
    Each key has at least one value, and an instance is selected when it has one of the values of every key.
    """

    async def needs(self, level: Level, unique_keys: Mapping[int, Sequence[str]]) -> Mapping[Need, int]:
        """How many instances are selected, by SOP class and transfer syntax; empty where there are none."""

    def instances(
        self, level: Level, unique_keys: Mapping[int, Sequence[str]], needs: Collection[Need] | None = None
    ) -> AsyncGenerator[Sequence[InstanceFile], None]:
        """The selected instances, only those of some needs where they are given, in pages of at most 500.

        Nothing is held between pages; what is stored or removed meanwhile may appear or not.
        """
