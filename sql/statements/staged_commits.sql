-- The state of the staged commits: `version` changes with every row and every version of a row, also with rows that
-- have an older time. `commits` and `newest` are informative.
SELECT
    count(*) AS commits,
    max(loaded_at) AS newest,
    coalesce(bit_xor(hashtextextended(sha || ' ' || extract(EPOCH FROM loaded_at), 0)), 0) AS version
FROM staging.stg_commits;
