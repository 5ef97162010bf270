"""Quality checks of whole tables of the warehouse, their results, and the pages that show them."""
