"""The report of a build or a check: one JSON document, and a page that shows it."""
