-- Written by `python -m deploy roles` from local/services/postgres.py: change it there. Run by psql at every start.
-- Passwords come from the environment; psql quotes them, and the server's log does not show them.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';

\getenv password AIRFLOW_DB_PASSWORD
SELECT 'CREATE ROLE airflow' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'airflow')
\gexec
ALTER ROLE airflow LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 120 PASSWORD :'password';
\unset password
\getenv password WAREHOUSE_OWNER_PASSWORD
SELECT 'CREATE ROLE warehouse_owner' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'warehouse_owner')
\gexec
ALTER ROLE warehouse_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 10 PASSWORD :'password';
\unset password
\getenv password WAREHOUSE_INGEST_PASSWORD
SELECT 'CREATE ROLE ingest' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ingest')
\gexec
ALTER ROLE ingest LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 120 PASSWORD :'password';
\unset password
ALTER ROLE ingest SET idle_in_transaction_session_timeout = '1h';
\getenv password WAREHOUSE_TRANSFORM_PASSWORD
SELECT 'CREATE ROLE transform' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'transform')
\gexec
ALTER ROLE transform LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 40 PASSWORD :'password';
\unset password
ALTER ROLE transform SET idle_in_transaction_session_timeout = '1h';
\getenv password WAREHOUSE_READER_PASSWORD
SELECT 'CREATE ROLE reader' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader')
\gexec
ALTER ROLE reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 40 PASSWORD :'password';
\unset password
ALTER ROLE reader SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE reader SET statement_timeout = '10min';
\getenv password MLFLOW_DB_PASSWORD
SELECT 'CREATE ROLE mlflow' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mlflow')
\gexec
ALTER ROLE mlflow LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 40 PASSWORD :'password';
\unset password
\getenv password METABASE_DB_PASSWORD
SELECT 'CREATE ROLE metabase' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'metabase')
\gexec
ALTER ROLE metabase LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 40 PASSWORD :'password';
\unset password
\getenv password WAREHOUSE_LAKE_OWNER_PASSWORD
SELECT 'CREATE ROLE lake_owner' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lake_owner')
\gexec
ALTER ROLE lake_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 20 PASSWORD :'password';
\unset password
\getenv password WAREHOUSE_LAKE_READER_PASSWORD
SELECT 'CREATE ROLE lake_reader' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lake_reader')
\gexec
ALTER ROLE lake_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 40 PASSWORD :'password';
\unset password
ALTER ROLE lake_reader SET idle_in_transaction_session_timeout = '1h';
ALTER ROLE lake_reader SET statement_timeout = '10min';
\getenv password WAREHOUSE_FEAST_PASSWORD
SELECT 'CREATE ROLE feast' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'feast')
\gexec
ALTER ROLE feast LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 10 PASSWORD :'password';
\unset password
ALTER ROLE feast SET idle_in_transaction_session_timeout = '1h';
\getenv password WAREHOUSE_FEAST_READER_PASSWORD
SELECT 'CREATE ROLE feast_reader' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'feast_reader')
\gexec
ALTER ROLE feast_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 20 PASSWORD :'password';
\unset password
ALTER ROLE feast_reader SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE feast_reader SET statement_timeout = '1min';

REVOKE CONNECT, TEMPORARY ON DATABASE postgres FROM PUBLIC;
REVOKE CONNECT, TEMPORARY ON DATABASE template1 FROM PUBLIC;

SELECT 'CREATE DATABASE airflow OWNER airflow'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'airflow')
\gexec
REVOKE ALL ON DATABASE airflow FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE airflow TO airflow;

SELECT 'CREATE DATABASE warehouse OWNER warehouse_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'warehouse')
\gexec
REVOKE ALL ON DATABASE warehouse FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE warehouse TO warehouse_owner, ingest, transform, reader, feast;

SELECT 'CREATE DATABASE mlflow OWNER mlflow'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'mlflow')
\gexec
REVOKE ALL ON DATABASE mlflow FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE mlflow TO mlflow;

SELECT 'CREATE DATABASE metabase OWNER metabase'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'metabase')
\gexec
REVOKE ALL ON DATABASE metabase FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE metabase TO metabase;

SELECT 'CREATE DATABASE lake OWNER lake_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'lake')
\gexec
REVOKE ALL ON DATABASE lake FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE lake TO lake_owner, lake_reader;

SELECT 'CREATE DATABASE feast OWNER feast'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'feast')
\gexec
REVOKE ALL ON DATABASE feast FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE feast TO feast, feast_reader;

\connect lake
CREATE SCHEMA IF NOT EXISTS ducklake AUTHORIZATION lake_owner;
GRANT USAGE ON SCHEMA ducklake TO lake_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA ducklake TO lake_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE lake_owner IN SCHEMA ducklake GRANT SELECT ON TABLES TO lake_reader;

\connect feast
CREATE SCHEMA IF NOT EXISTS online AUTHORIZATION feast;
GRANT USAGE ON SCHEMA online TO feast_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA online TO feast_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE feast IN SCHEMA online GRANT SELECT ON TABLES TO feast_reader;
