{{ config(
    materialized="incremental",
    incremental_strategy="merge",
    unique_key=["coin_id", "last_updated"],
    on_schema_change="fail",
    indexes=[{"columns": ["coin_id", "last_updated"], "unique": true}]
) }}

SELECT
    source_rows.coin_id,
    source_rows.last_updated,
    source_rows.symbol,
    source_rows.name,
    source_rows.price_usd,
    source_rows.market_cap,
    source_rows.total_volume,
    source_rows._file_id AS file_id,
    source_rows._loaded_at AS loaded_at
FROM {{ source("raw", "crypto_prices") }} AS source_rows
WHERE
    {{ changed_rows(["coin_id", "last_updated"]) }}
