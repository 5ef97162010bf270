{{ config(
    materialized="incremental",
    incremental_strategy="merge",
    unique_key="transaction_id",
    on_schema_change="fail",
    indexes=[{"columns": ["transaction_id"], "unique": true}]
) }}

WITH source_rows AS (
    SELECT
        id AS transaction_id,
        description,
        amount,
        timestamp AS booked_at,
        merchant,
        operation_type,
        side,
        category,
        _file_id,
        _loaded_at
    FROM {{ source("raw", "transactions") }}
)

SELECT
    source_rows.transaction_id,
    source_rows.description,
    source_rows.amount,
    source_rows.booked_at,
    source_rows.merchant,
    source_rows.operation_type,
    source_rows.side,
    source_rows.category,
    source_rows._file_id AS file_id,
    source_rows._loaded_at AS loaded_at
FROM source_rows
WHERE
    {{ changed_rows("transaction_id") }}
