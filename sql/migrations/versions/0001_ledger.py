"""Schemas, the ledger and its history, rejected rows, quality results; roles and what each may do."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the SQL file of the same name, on the driver's own cursor: it takes many statements and a bare %."""
    with op.get_bind().connection.cursor() as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
