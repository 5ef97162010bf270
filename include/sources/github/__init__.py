"""GitHub's REST API as a batch source: its endpoints, how they are requested, and how responses become files."""
