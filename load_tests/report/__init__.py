"""What a load test found: watched while it ran, shown as a table, a file and a picture."""
