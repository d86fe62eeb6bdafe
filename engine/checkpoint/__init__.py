"""From the name of a checkpoint to a model that is ready to run."""

from engine.checkpoint.load import Model, default_dtype, load, load_mimi, outline

__all__ = ["Model", "default_dtype", "load", "load_mimi", "outline"]
