-- title: Temperature by day
-- description: Mean of the hours so far, in degrees Celsius.
-- chart: line
-- x: day
-- y: [temperature_mean_c]
-- series: city
-- columns:
--   day: {label: Day, format: date}
--   city: {label: City}
--   temperature_mean_c: {label: Degrees Celsius, format: decimal}
-- filters: {start_date: date, end_date: date}
SELECT
    day,
    city,
    temperature_mean_c
FROM analytics.weather_analytics
WHERE
    temperature_mean_c IS NOT NULL
    AND day >= %(start_date)s
    AND day <= %(end_date)s
ORDER BY day, city
