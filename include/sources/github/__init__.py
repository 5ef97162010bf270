"""GitHub's REST API as a source: which endpoints there are, how they are asked, and what becomes of the answers."""
