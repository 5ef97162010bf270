"""A replay of GitHub's REST API on the loopback interface: what the platform collects from while it is offline.

It serves a shipped history in the API's own form, with its pages, ETags, limits and refusals. The tests make it fail
in the ways that the real one does. Nothing here is known to the collector, which talks HTTP to either.
"""
