"""The network node: a server that predicts the frames that other programs send it, and a client for these programs.

Nothing here is imported on the way to :mod:`gasp.node.client`, which must work on a robot without PyTorch.
"""
