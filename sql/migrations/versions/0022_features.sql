CREATE SCHEMA features;
GRANT USAGE, CREATE ON SCHEMA features TO transform;
GRANT USAGE ON SCHEMA features TO reader;

CREATE TABLE features.parameters (
    view text COLLATE "C" NOT NULL,
    feature text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    fitted_from timestamptz NOT NULL,
    fitted_until timestamptz NOT NULL,
    rows bigint NOT NULL,
    mean double precision,
    stddev double precision,
    minimum double precision,
    maximum double precision,
    median double precision,
    fitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (view, feature, version),
    CONSTRAINT version_counts_from_1 CHECK (version > 0)
);
COMMENT ON TABLE features.parameters IS
'What models replace missing values by and normalise with: one row per view, feature and version.';
COMMENT ON COLUMN features.parameters.version IS 'A model keeps the version that it was trained with.';
COMMENT ON COLUMN features.parameters.fitted_from IS 'Values with event_timestamp from this time on were taken,';
COMMENT ON COLUMN features.parameters.fitted_until IS 'up to this time, which is excluded.';
COMMENT ON COLUMN features.parameters.rows IS 'Number of values that are not null.';
COMMENT ON COLUMN features.parameters.stddev IS 'Standard deviation of the population.';
GRANT SELECT, INSERT ON features.parameters TO transform;
GRANT SELECT ON features.parameters TO reader;

CREATE TABLE ops.feature_build (
    view text COLLATE "C" PRIMARY KEY,
    digest text NOT NULL,
    oldest timestamptz NOT NULL,
    newest timestamptz NOT NULL,
    built_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ops.feature_build IS 'The last build of each view of features.';
COMMENT ON COLUMN ops.feature_build.digest IS 'Of the SQL and columns. With another one, all rows are computed again.';
COMMENT ON COLUMN ops.feature_build.oldest IS 'The first event_timestamp that was built.';
COMMENT ON COLUMN ops.feature_build.newest IS 'The last one.';

CREATE TABLE ops.feature_source_day (
    view text COLLATE "C" NOT NULL,
    dataset text COLLATE "C" NOT NULL,
    day date NOT NULL,
    rows bigint NOT NULL,
    checksum numeric NOT NULL,
    PRIMARY KEY (view, dataset, day)
);
COMMENT ON TABLE ops.feature_source_day IS
'The rows of raw tables that the last build of a view saw, by UTC day. A day that differs was changed since then.';
GRANT SELECT, INSERT, UPDATE, DELETE ON ops.feature_build, ops.feature_source_day TO transform;
GRANT SELECT ON ops.feature_build, ops.feature_source_day TO reader;
