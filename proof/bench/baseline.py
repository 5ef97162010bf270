"""The baseline of the benchmarks: a hand-written SQL load of one file of sales.

It copies the file into an unlogged staging table and merges the newest row of each key. The table is the pipeline's
table without the lineage columns: key COLLATE "C", fillfactor 80. The merge has 512 MB of work_mem. The baseline checks
only the column types, keeps no rejected rows and writes no ledger.
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
CREATE TABLE public.sales_baseline (
    sale_id text COLLATE "C" PRIMARY KEY, sale_date date, customer_id text, customer_name text, product text,
    category text, quantity bigint, unit_price numeric(12,2), total_amount numeric(14,2), region text,
    updated_at timestamptz
) WITH (fillfactor = 80)
"""
MERGE = f"""
MERGE INTO public.sales_baseline AS t
USING (
    SELECT DISTINCT ON (sale_id) * FROM public.sales_staging ORDER BY sale_id, updated_at DESC
) AS s ON t.sale_id = s.sale_id
WHEN MATCHED AND s.updated_at >= t.updated_at THEN
    UPDATE SET {", ".join(f"{name} = s.{name}" for name in COLUMNS[1:])}
WHEN NOT MATCHED THEN INSERT VALUES ({", ".join(f"s.{name}" for name in COLUMNS)})
"""


def prepare(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Create the empty target table."""
    connection.execute("DROP TABLE IF EXISTS public.sales_baseline")
    connection.execute(CREATE)


def load(connection: psycopg.Connection[tuple[object, ...]], path: Path) -> tuple[float, float]:
    """Load a CSV file from the local disk; return the seconds of COPY and the seconds of MERGE."""
    connection.execute("DROP TABLE IF EXISTS public.sales_staging")
    connection.execute("CREATE UNLOGGED TABLE public.sales_staging (LIKE public.sales_baseline)")
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
