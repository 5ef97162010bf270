SELECT
    count(*) AS commit_count,
    count(*) FILTER (WHERE is_merge) AS merge_count
FROM analytics.ml_features;
