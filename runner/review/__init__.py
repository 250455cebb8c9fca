"""Samples for people to label, the page they do it on, and what their labels say of judges."""
