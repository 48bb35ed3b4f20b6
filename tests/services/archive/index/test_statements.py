import pytest

from services.archive.index.statements import INSTANCE_COLUMNS, Statement, Statements, list_item, list_pattern


@pytest.mark.parametrize("is_sqlite", [True, False], ids=["sqlite", "postgresql"])
def test_parameters_stand_in_the_order_the_writer_gives_them(is_sqlite: bool) -> None:
    say = Statements(is_sqlite=is_sqlite)
    assert say.insert_instance.order == (
        "series",
        *INSTANCE_COLUMNS[:-1],
        "stored_at",
        "attributes",
    )
    assert say.update_instance.order == (*(f"new_{name}" for name in INSTANCE_COLUMNS[1:]), "key")
    assert say.count_patient.order[-1] == say.count_study.order[-1] == say.count_series.order[-1] == "key"
    assert [len(each.order) for each in (say.count_patient, say.count_study, say.count_series)] == [3, 2, 2]


@pytest.mark.parametrize("is_sqlite", [True, False], ids=["sqlite", "postgresql"])
def test_no_value_stands_in_a_text(is_sqlite: bool) -> None:
    mark = "?" if is_sqlite else "%s"
    statements = [
        each for each in vars(Statements(is_sqlite=is_sqlite)).values() if isinstance(each, Statement)
    ]
    assert len(statements) > 10
    for statement in statements:
        assert statement.sql.count(mark) == len(statement.order)
    assert statements[0].parameters(dict.fromkeys(statements[0].order, "x")) == ("x",) * len(
        statements[0].order
    )


def test_the_pattern_of_a_value_in_a_list() -> None:
    assert list_pattern("CT") == "%\\CT\\%"
    assert list_pattern("50%_!") == "%\\50!%!_!!\\%"
    assert list_item("CT") == "CT\\"
