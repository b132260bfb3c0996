"""Prints the values of every image that a server has, a line each, as they read back bit by bit."""

import sys

from boreside import Client

with Client(sys.argv[1]) as client:
    for facts in client.images():
        image = client.image(facts.id)
        assert list(image.values.shape) == list(facts.shape)
        print(*(repr(float(value)) for value in image.values.ravel()))
