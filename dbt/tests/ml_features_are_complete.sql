-- Every staged commit has exactly one row of features, and no other commit has one.
WITH features AS (
    SELECT
        sha,
        count(*) AS times
    FROM {{ ref("ml_features") }}
    GROUP BY sha
)

SELECT
    staged.sha,
    features.sha AS sha_of_features,
    features.times
FROM {{ ref("stg_commits") }} AS staged
FULL JOIN features ON staged.sha = features.sha
WHERE staged.sha IS NULL OR features.times IS DISTINCT FROM 1
