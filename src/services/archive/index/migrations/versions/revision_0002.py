"""The data directory that an index is of.

Revision 0002. Rows of patients, studies, series and instances stay as they are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table, without a row: whoever opens the index next writes it."""
    op.create_table(
        "data_directory",
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("identity", _TEXT, nullable=False),
        sa.Column("path", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_data_directory"),
    )
