-- Feast puts the entities of a question for historical features into tables of its own, and drops them behind it.
CREATE SCHEMA feast;
GRANT USAGE, CREATE ON SCHEMA feast TO feast;
-- It reads the tables of features, which `transform` grants with each of them, and nothing else of the warehouse.
GRANT USAGE ON SCHEMA features TO feast;
