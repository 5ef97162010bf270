-- The warehouse's clock.
SELECT clock_timestamp() AS now;
