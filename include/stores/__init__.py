"""The bucket and the warehouse: thin, typed layers with timeouts, and errors that say whether a retry can help."""
