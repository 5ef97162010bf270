"""The schema in which Feast joins features with entities, for its own role."""

from pathlib import Path

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Run the SQL file of the same name, on the driver's own cursor: it takes many statements and a bare %."""
    with op.get_bind().connection.cursor() as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
