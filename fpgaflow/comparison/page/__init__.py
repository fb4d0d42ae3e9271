"""The report as one HTML file that needs no network, as Markdown, and as JSON."""
