"""Row locks instead of advisory locks, contents that come again, and tables that are compared with their contract."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Run the SQL file of the same name, on the driver's own cursor: it takes many statements and a bare %."""
    with op.get_bind().connection.cursor() as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
