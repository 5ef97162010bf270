-- Tables of version 1 of two contracts get the columns and keys of version 2. Their rows stay; columns that version 2
-- does not have stay, too, and are null in new rows. Another version's table, or none, is left as it is. A table of
-- GitHub events fits version 2 as it is.

-- A price is in US dollars and has no currency in its key: rows in other currencies go.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_constraint
        WHERE conrelid = to_regclass('raw.crypto_prices') AND contype = 'p' AND cardinality(conkey) = 3
    ) THEN
        DELETE FROM raw.crypto_prices WHERE currency <> 'usd';
        ALTER TABLE raw.crypto_prices RENAME COLUMN updated_at TO last_updated;
        ALTER TABLE raw.crypto_prices RENAME COLUMN price TO price_usd;
        ALTER TABLE raw.crypto_prices DROP CONSTRAINT crypto_prices_pkey;
        ALTER TABLE raw.crypto_prices
            ALTER COLUMN currency DROP NOT NULL,
            ADD PRIMARY KEY (coin_id, last_updated);
    END IF;
END $$;

DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid = to_regclass('raw.weather') AND attname = 'forecast_at' AND NOT attisdropped
    ) THEN
        ALTER TABLE raw.weather RENAME COLUMN forecast_at TO observed_at;
        ALTER TABLE raw.weather RENAME COLUMN temperature TO temperature_c;
        ALTER TABLE raw.weather RENAME COLUMN relative_humidity TO humidity_pct;
        ALTER TABLE raw.weather RENAME COLUMN precipitation TO precipitation_mm;
        ALTER TABLE raw.weather RENAME COLUMN wind_speed TO wind_kmh;
        ALTER TABLE raw.weather
            ALTER COLUMN temperature_c TYPE double precision,
            ALTER COLUMN humidity_pct TYPE double precision,
            ALTER COLUMN precipitation_mm TYPE double precision,
            ALTER COLUMN wind_kmh TYPE double precision;
    END IF;
END $$;
