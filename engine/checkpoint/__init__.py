"""From the name of a checkpoint to a model that is ready to run."""

from engine.checkpoint.load import Model, load, load_mimi

__all__ = ["Model", "load", "load_mimi"]
