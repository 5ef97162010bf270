"""Alert messages: their text, and sending them without delaying a run. Nothing here imports Airflow."""
