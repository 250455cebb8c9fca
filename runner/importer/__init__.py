"""Prompt sets of other tools as scenarios: readers to neutral drafts, drafts to items, items to files."""
