"""Messages to people: what they say, and getting them out without holding anybody up. Nothing here knows Airflow."""
