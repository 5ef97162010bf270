-- title: Weather by city and day
-- description: The last 100. An anomaly is 3 standard deviations or more from the 30 days before.
-- chart: table
-- columns:
--   day: {label: Day (UTC), format: date}
--   city: {label: City}
--   condition: {label: Condition}
--   temperature_min_c: {label: Lowest (C), format: decimal}
--   temperature_mean_c: {label: Mean (C), format: decimal}
--   temperature_max_c: {label: Highest (C), format: decimal}
--   humidity_mean_pct: {label: Humidity in %, format: decimal}
--   precipitation_mm: {label: Precipitation (mm), format: decimal}
--   wind_max_kmh: {label: Wind (km/h), format: decimal}
--   temperature_anomaly_c: {label: From usual (C), format: decimal}
--   is_anomaly: {label: Anomaly}
-- filters: {start_date: date, end_date: date}
SELECT
    day,
    city,
    condition,
    temperature_min_c,
    temperature_mean_c,
    temperature_max_c,
    humidity_mean_pct,
    precipitation_mm,
    wind_max_kmh,
    temperature_anomaly_c,
    CASE WHEN is_anomaly THEN 'yes' WHEN NOT is_anomaly THEN 'no' END AS is_anomaly
FROM analytics.weather_analytics
WHERE
    TRUE
    AND day >= %(start_date)s
    AND day <= %(end_date)s
ORDER BY day DESC, city ASC
LIMIT 100
