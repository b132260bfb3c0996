"""Client of the Boreside reconstruction server."""

from .client import Client, ImageWithValues, Resumed, values_of

__all__ = ["Client", "ImageWithValues", "Resumed", "values_of"]
