"""AMD's tools: which are here, what their logs say, why they failed, and how to run them elsewhere."""
