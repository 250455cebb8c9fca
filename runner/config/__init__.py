"""Configuration: every key there is (schema) and how files become values (load)."""
