"""Keras files without Keras: QKeras models and HGQ2 models."""
