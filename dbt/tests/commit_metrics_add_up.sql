-- The sum of the authors' commits of a repository is the number of its staged commits.
WITH staged AS (
    SELECT
        repository,
        count(*) AS commits
    FROM {{ ref("stg_commits") }}
    GROUP BY repository
),

measured AS (
    SELECT
        repository,
        sum(commits) AS commits
    FROM {{ ref("commit_metrics") }}
    GROUP BY repository
)

SELECT
    staged.repository,
    staged.commits,
    measured.commits AS commits_of_authors
FROM staged
FULL JOIN measured ON staged.repository = measured.repository
WHERE staged.commits IS DISTINCT FROM measured.commits
