"""The warehouse as it stands: checks over whole tables, their results, and the pages that show them."""
