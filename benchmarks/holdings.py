"""What the archives hold while they are asked and retrieved from: the same for each of them, loaded once.

DCMTK's dcmqrscp holds no more than 500 studies, so there are fewer; the 2,000 matches of the streamed query are the
images of one study.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks import messages
from benchmarks.load import Association
from dimse.messages import CStoreRQ

TOKEN = b"7" * 11
"""Stands where the number of a study or an image comes, 11 digits."""

STUDY, SERIES, IMAGE = "2.25.81", "2.25.82", "2.25.83"
"""Of the small studies, before the number: one series and one image each."""
WIDE_STUDY, WIDE_SERIES, WIDE_IMAGE = "2.25.84" + "0" * 11, "2.25.85" + "0" * 11, "2.25.86"
"""Of the study with many small images."""
LARGE_STUDY, LARGE_SERIES, LARGE_IMAGE = "2.25.87" + "0" * 11, "2.25.88" + "0" * 11, "2.25.89"
"""Of the study with the large images."""

SMALL = 8 << 10
"""Bytes of the data set of a small image."""
MOST_STUDIES = 400
"""Small ones; dcmqrscp forgets the oldest where there are more than it holds."""


@dataclass(frozen=True)
class Holdings:
    """How much there is.

    Attributes:
        studies: with one small image each; at most 400.
        matches: small images of the wide study.
        images: large images of one more study.
        size: bytes of the data set of a large image.
    """

    studies: int = 400
    matches: int = 2000
    images: int = 1000
    size: int = 512 << 10

    def __str__(self) -> str:
        return (
            f"{self.studies} studies of one image of {SMALL >> 10} KiB, one study of {self.matches:,} such images, "
            f"one study of {self.images:,} images of {self.size >> 10} KiB"
        )


class Numbered:
    """Bytes that are the same but for a number, which is written over the last one.

    Args:
        content: with TOKEN in each place of the number.
    """

    def __init__(self, content: bytes) -> None:
        self.buffer = bytearray(content)
        self._places = messages.find_all(content, TOKEN, limit=16384)
        assert self._places, "no place for a number"

    def become(self, number: int) -> None:
        """Write a number."""
        digits = b"%011d" % number
        for at in self._places:
            self.buffer[at : at + len(digits)] = digits


def fill(holdings: Holdings, port: int, called_ae: str, associations: int) -> None:
    """Store everything in a server, over so many associations at a time.

    Raises:
        LoadError: it did not take an image.
    """
    token = TOKEN.decode()
    kinds = (
        (holdings.studies, SMALL, (STUDY + token, SERIES + token, IMAGE + token), f"BENCH{token}"),
        (holdings.matches, SMALL, (WIDE_STUDY, WIDE_SERIES, WIDE_IMAGE + token), "WIDE"),
        (holdings.images, holdings.size, (LARGE_STUDY, LARGE_SERIES, LARGE_IMAGE + token), "LARGE"),
    )
    with ThreadPoolExecutor(associations) as pool:
        for number, size, uids, patient in kinds:
            image = _image(size, uids, patient)
            shares = [range(first, number, associations) for first in range(associations)]
            stored = [
                pool.submit(_store, port, called_ae, image, uids[2], share) for share in shares if share
            ]
            for each in stored:
                each.result()


def _image(size: int, uids: tuple[str, str, str], patient: str) -> bytes:
    study, series, instance = uids
    values = {
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "SOPInstanceUID": instance,
        "PatientID": patient,
        "PatientName": f"{patient}^BENCH",
        "AccessionNumber": patient[-12:],
        "StudyID": patient[-12:],
    }
    return messages.ct_image(size, values)


def _store(port: int, called_ae: str, image: bytes, uid: str, numbers: Sequence[int]) -> None:
    with Association(port, called_ae) as association:
        command = CStoreRQ(
            message_id=1, affected_sop_class_uid=messages.CT_IMAGE_STORAGE, affected_sop_instance_uid=uid
        )
        request = Numbered(messages.p_data(messages.CT_ID, command, image, association.maximum_length))
        request.become(numbers[0])
        send = association.exchange(request.buffer)
        for number in numbers[1:]:
            request.become(number)
            send()
