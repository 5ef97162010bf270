"""Tables of crypto prices and weather as version 2 of their contracts has them."""

from pathlib import Path

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Run the SQL file of the same name, on the driver's own cursor: it takes many statements and a bare %."""
    with op.get_bind().connection.cursor() as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
