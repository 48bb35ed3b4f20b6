"""The digests of a backup."""

import hashlib
from io import BytesIO

from services.archive.maintenance.backup_format import FilesDigest, Hashed, table_member


def test_what_is_read_is_hashed_and_counted() -> None:
    steps: list[int] = []
    hashed = Hashed(BytesIO(b"abcdef"), steps.append)
    assert hashed.read(2) == b"ab"
    assert hashed.digest() == hashlib.sha256(b"ab").digest()
    assert hashed.drain() == hashlib.sha256(b"abcdef").hexdigest()
    assert sum(steps) == 6


def test_the_digest_of_files_depends_on_names_contents_and_order() -> None:
    def digest(*files: tuple[str, bytes]) -> str:
        made = FilesDigest()
        for path, content in files:
            made.add(path, len(content), hashlib.sha256(content).digest())
        assert (made.files, made.bytes) == (len(files), sum(len(content) for _, content in files))
        return made.hexdigest()

    one, two = ("1/2/3.dcm", b"a"), ("1/2/4.dcm", b"b")
    different = {
        digest(),
        digest(one),
        digest(one, two),
        digest(two, one),
        digest((one[0], b"b"), (two[0], b"a")),
    }
    assert len(different) == 5
    assert digest(one, two) == digest(one, two)


def test_a_table_has_its_member() -> None:
    assert table_member("series") == "index/series.jsonl.gz"
