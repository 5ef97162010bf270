-- Which commits the features were built of: a number that changes with every row and with every version of one,
-- also when a long load brings older ones. `commits` and `newest` are for people.
SELECT
    count(*) AS commits,
    max(loaded_at) AS newest,
    coalesce(bit_xor(hashtextextended(sha || ' ' || extract(EPOCH FROM loaded_at), 0)), 0) AS version
FROM staging.stg_commits;
