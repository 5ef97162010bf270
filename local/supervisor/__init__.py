"""Starts, watches and stops the services: order, readiness, recovery, left-over processes."""
