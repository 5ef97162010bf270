"""Deletes: their counts in the ledger, when a file was first written, and the right to delete from a table."""

from pathlib import Path

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Run the SQL file of the same name, on the driver's own cursor: it takes many statements and a bare %."""
    with op.get_bind().connection.cursor() as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
