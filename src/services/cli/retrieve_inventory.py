"""What a peer has of what is to be retrieved, asked by C-FIND down to the instances (PS3.4 C.4.1).

It says which presentation contexts to propose, which instances are missing in the folder, and in the end which did not
come. A peer that does not answer is retrieved from all the same, without these.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from msgspec import Struct
from pydicom import Dataset

from dimse.association import Association
from services.cli.retrieve_keys import Wanted
from services.find_scu import InvalidAnswer, find
from services.printable import printable, shorten
from services.query.keys import Level
from services.retrieve.requesting import is_uid

MOST_LISTED = 5_000_000
"""Instances of one run: a peer that lists on and on ends here."""


class Listed(Struct, frozen=True, gc=False):
    """An instance that the peer says it has.

    Attributes:
        sop_class_uid: empty where the peer does not say.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""


class Inventory:
    """Asks on one association.

    Args:
        association: with an accepted context for C-FIND in the model of what is wanted.
        timeout: seconds to wait for each response.

    Attributes:
        strange: what the peer answered in the place of UIDs, made printable.
    """

    def __init__(self, association: Association, timeout: float) -> None:
        self.strange: list[str] = []
        self._association = association
        self._timeout = timeout
        self._count = 0

    async def of(self, wanted: Wanted) -> list[Listed]:
        """The instances that the peer has of what is wanted, each once.

        Raises:
            DimseError: the peer does not answer such queries, or not this one.
            InvalidAnswer: an answer cannot be read, or there are too many.
            TimeoutError, AssociationEnded: see `services.find_scu.find`.
        """
        found: dict[str, Listed] = {}
        async for study in self._studies(wanted):
            async for series in self._series(wanted, study):
                async for listed in self._instances(wanted, study, series):
                    found.setdefault(listed.sop_instance_uid, listed)
        return list(found.values())

    async def _studies(self, wanted: Wanted) -> AsyncIterator[str]:
        if wanted.study_uid:
            yield wanted.study_uid
            return
        for answer in await self._ask(wanted, Level.STUDY, "StudyInstanceUID"):
            yield answer[0]

    async def _series(self, wanted: Wanted, study: str) -> AsyncIterator[str]:
        if wanted.series_uids:
            for series in wanted.series_uids:
                yield series
            return
        above = {"StudyInstanceUID": study}
        for answer in await self._ask(wanted, Level.SERIES, "SeriesInstanceUID", **above):
            yield answer[0]

    async def _instances(self, wanted: Wanted, study: str, series: str) -> AsyncIterator[Listed]:
        above = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        answers = await self._ask(wanted, Level.IMAGE, "SOPInstanceUID", "SOPClassUID", **above)
        named = frozenset(wanted.instance_uids)
        for instance, sop_class in answers:
            if not named or instance in named:
                yield Listed(study, series, instance, sop_class if is_uid(sop_class) else "")

    async def _ask(
        self, wanted: Wanted, level: Level, *keywords: str, **keys: str
    ) -> Sequence[tuple[str, ...]]:
        """The values of the keywords in each answer, the first of which is a UID."""
        identifier = Dataset()
        if wanted.patient_id:
            identifier.PatientID = wanted.patient_id
            if not wanted.patient_id.isascii():
                identifier.SpecificCharacterSet = "ISO_IR 192"
        for keyword in keywords:
            setattr(identifier, keyword, "")
        for keyword, value in keys.items():
            setattr(identifier, keyword, value)
        found: dict[str, tuple[str, ...]] = {}
        answers = find(
            self._association, identifier, model=wanted.model, level=level.value, timeout=self._timeout
        )
        async with aclosing(answers):
            async for answer in answers:
                values = tuple(str(answer.get(keyword, "") or "").strip(" \0") for keyword in keywords)
                if not is_uid(values[0]):
                    self.strange.append(shorten(printable(values[0])))
                    continue
                found[values[0]] = values
                self._count += 1
                if self._count > MOST_LISTED:
                    raise InvalidAnswer(f"over {MOST_LISTED} answers")
        return list(found.values())
