"""Exact arithmetic of an importer: values with rational steps pending on them, and how they become integer ops."""
