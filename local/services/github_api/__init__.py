"""A replay of GitHub's REST API on the loopback interface: the source of the platform while it is offline.

It serves a shipped history in the format of the API, with its pages, ETags, rate limits and errors. Tests can make it
fail like the real API. The collector does not depend on this package; it uses HTTP for the replay and the real API.
"""
