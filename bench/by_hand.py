"""The opponent: the best load of sales that we know how to write by hand, for one file and nothing else.

COPY into an unlogged staging table, then one MERGE that keeps the newest of each key. The table is the pipeline's
own without lineage: key COLLATE "C", room in its pages for updates, and 512 MB of work_mem. It checks nothing that
the types do not check, keeps no rejected row, and writes no ledger.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

COLUMNS = (
    "sale_id", "sale_date", "customer_id", "customer_name", "product", "category",
    "quantity", "unit_price", "total_amount", "region", "updated_at",
)  # fmt: skip
CREATE = """
CREATE TABLE public.sales_by_hand (
    sale_id text COLLATE "C" PRIMARY KEY, sale_date date, customer_id text, customer_name text, product text,
    category text, quantity bigint, unit_price numeric(12,2), total_amount numeric(14,2), region text,
    updated_at timestamptz
) WITH (fillfactor = 80)
"""
MERGE = f"""
MERGE INTO public.sales_by_hand AS t
USING (
    SELECT DISTINCT ON (sale_id) * FROM public.sales_staging ORDER BY sale_id, updated_at DESC
) AS s ON t.sale_id = s.sale_id
WHEN MATCHED AND s.updated_at >= t.updated_at THEN
    UPDATE SET {", ".join(f"{name} = s.{name}" for name in COLUMNS[1:])}
WHEN NOT MATCHED THEN INSERT VALUES ({", ".join(f"s.{name}" for name in COLUMNS)})
"""


def prepare(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """An empty table."""
    connection.execute("DROP TABLE IF EXISTS public.sales_by_hand")
    connection.execute(CREATE)


def load(connection: psycopg.Connection[tuple[object, ...]], path: Path) -> tuple[float, float]:
    """Load a CSV file from the local disk. Seconds for COPY, seconds for MERGE."""
    connection.execute("DROP TABLE IF EXISTS public.sales_staging")
    connection.execute("CREATE UNLOGGED TABLE public.sales_staging (LIKE public.sales_by_hand)")
    start = time.perf_counter()
    with (
        connection.cursor().copy("COPY public.sales_staging FROM STDIN (FORMAT csv, HEADER)") as copy,
        path.open("rb") as file,
    ):
        while chunk := file.read(1024**2):
            copy.write(chunk)
    copied = time.perf_counter()
    with connection.transaction():
        connection.execute("SET LOCAL work_mem = '512MB'")
        connection.execute(MERGE)
    merged = time.perf_counter()
    connection.execute("DROP TABLE public.sales_staging")
    return copied - start, merged - copied
