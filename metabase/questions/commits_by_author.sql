-- title: Busiest authors
-- description: The first 10. Authors with the same name are shown with their addresses.
-- chart: row
-- x: author
-- y: [commits]
-- columns:
--   author: {label: Author}
--   commits: {label: Commits, format: integer}
-- filters: {repository: text}
WITH authors AS (
    SELECT
        author,
        coalesce((array_agg(author_name ORDER BY last_commit_at DESC, repository ASC))[1], author) AS author_name,
        sum(commits)::bigint AS commits
    FROM analytics.commit_metrics
    WHERE
        TRUE
        AND repository = %(repository)s
    GROUP BY author
)

SELECT
    CASE
        WHEN count(*) OVER (PARTITION BY author_name) > 1 THEN author_name || ' (' || author || ')'
        ELSE author_name
    END AS author,
    commits
FROM authors
ORDER BY commits DESC, authors.author ASC
LIMIT 10
