"""What a peer lists, level by level."""

from collections.abc import Callable
from typing import Any

import pytest

from dimse.errors import DimseError
from loops import LoopFactory, run
from retrieving import INSTANCE_UID, PATIENT, SERIES_UID, STUDY_UID, Image, Pacs, images
from scps import AE_TITLE
from services.cli import retrieve_inventory
from services.cli.retrieve_inventory import Inventory, Listed
from services.cli.retrieve_keys import Wanted
from services.find_scu import InvalidAnswer, find_context
from services.scu import associate

HELD = [*images(2), *images(1, series="1.2.3.5"), *images(1, study="1.4", series="1.4.1")]


async def listed(pacs: Pacs, wanted: Wanted, look: Callable[[Inventory], Any] = id) -> list[str]:
    async with (
        pacs.scp().listen(port=0) as port,
        associate(
            "127.0.0.1", port, called_ae=AE_TITLE, calling_ae="SCU", contexts=[find_context(wanted.model)]
        ) as association,
    ):
        inventory = Inventory(association, 5)
        found = await inventory.of(wanted)
        look(inventory)
        return [each.sop_instance_uid for each in found]


@pytest.mark.parametrize(
    ("wanted", "expected", "levels"),
    [
        (Wanted("", "1.2.3"), ["1.2.3.4.1", "1.2.3.4.2", "1.2.3.5.1"], ["SERIES", "IMAGE", "IMAGE"]),
        (Wanted("", "1.2.3", ("1.2.3.5",)), ["1.2.3.5.1"], ["IMAGE"]),
        (Wanted("", "1.2.3", ("1.2.3.4",), ("1.2.3.4.2", "9.9")), ["1.2.3.4.2"], ["IMAGE"]),
        (Wanted("P", "1.4"), ["1.4.1.1"], ["SERIES", "IMAGE"]),
        (
            Wanted("P"),
            ["1.2.3.4.1", "1.2.3.4.2", "1.2.3.5.1", "1.4.1.1"],
            ["STUDY", "SERIES", "IMAGE", "IMAGE", "SERIES", "IMAGE"],
        ),
        (Wanted("", "9.9"), [], ["SERIES"]),
    ],
)
def test_down_to_the_instances(
    wanted: Wanted, expected: list[str], levels: list[str], loop_factory: LoopFactory
) -> None:
    pacs = Pacs(HELD)
    assert run(listed(pacs, wanted), loop_factory) == expected
    assert [asked.level for asked in pacs.found] == levels
    assert all((PATIENT in asked.keys) is bool(wanted.patient_id) for asked in pacs.found)
    last = pacs.found[-1]
    if last.level == "IMAGE":
        assert {STUDY_UID, SERIES_UID} <= last.keys.keys()
        assert INSTANCE_UID not in last.keys


def test_what_is_no_uid_is_passed_over(loop_factory: LoopFactory) -> None:
    pacs = Pacs([Image("1.2.3.4.1"), Image("../../x"), Image("1.2.3.9.1", series="/etc")])
    strange: list[str] = []
    found = run(listed(pacs, Wanted("", "1.2.3"), lambda it: strange.extend(it.strange)), loop_factory)
    assert found == ["1.2.3.4.1"]
    assert sorted(strange) == ["../../x", "/etc"]


def test_a_sop_class_that_is_no_uid_is_unknown(loop_factory: LoopFactory) -> None:
    async def main() -> list[Listed]:
        pacs = Pacs([Image("1.2.3.4.1", sop_class="CT")])
        async with (
            pacs.scp().listen(port=0) as port,
            associate(
                "127.0.0.1", port, called_ae=AE_TITLE, calling_ae="SCU", contexts=[find_context()]
            ) as association,
        ):
            return await Inventory(association, 5).of(Wanted("", "1.2.3"))

    assert run(main(), loop_factory) == [Listed("1.2.3", "1.2.3.4", "1.2.3.4.1", "")]


def test_a_peer_that_refuses_and_one_that_lists_on_and_on(
    loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DimseError):
        run(listed(Pacs(HELD, refuses_find=0xA700), Wanted("", "1.2.3")), loop_factory)
    monkeypatch.setattr(retrieve_inventory, "MOST_LISTED", 2)
    with pytest.raises(InvalidAnswer, match="over 2 answers"):
        run(listed(Pacs(HELD), Wanted("", "1.2.3")), loop_factory)
