{{ config(
    materialized="incremental",
    incremental_strategy="merge",
    unique_key="sale_id",
    on_schema_change="fail",
    indexes=[{"columns": ["sale_id"], "unique": true}]
) }}

SELECT
    source_rows.sale_id,
    source_rows.sale_date,
    source_rows.customer_id,
    source_rows.customer_name,
    source_rows.product,
    source_rows.category,
    source_rows.quantity,
    source_rows.unit_price,
    source_rows.total_amount,
    coalesce(source_rows.region, 'Web') AS region,
    source_rows.updated_at,
    source_rows._file_id AS file_id,
    source_rows._loaded_at AS loaded_at
FROM {{ source("raw", "sales") }} AS source_rows
WHERE
    {{ changed_rows("sale_id") }}
