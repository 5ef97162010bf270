"""The services of the embedded platform: command, environment, preparation and readiness probe of each."""
