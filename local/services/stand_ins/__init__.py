"""Stand-ins for public APIs on the loopback interface: the sources of the platform until their connections are set.

One server has a module for each API. It answers as the real API does: shapes, pages, limits and errors. Values are
invented. They move over time, and are the same for the same time and seed. Every answer has the header X-Stand-In. The
collectors do not depend on this package: they use HTTP for a stand-in and the real API.
"""
