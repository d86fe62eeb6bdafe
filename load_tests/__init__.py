"""What is measured against a running service."""
