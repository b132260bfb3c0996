"""Correlation of a twin with the surroundings of each pixel, for training: torch's own operators take most of a
step's time for it. The exported graph has the plain loop of `network.correlation`."""

import numba
import numpy as np
import torch


@numba.njit(parallel=True, fastmath=True)
def _forward(twin, padded, side):
    n, n_c, n_y, n_x = twin.shape
    out = np.zeros((n, side * side, n_y, n_x), np.float32)
    for i in numba.prange(n):
        for dy in range(side):
            for dx in range(side):
                for c in range(n_c):
                    for y in range(n_y):
                        for x in range(n_x):
                            out[i, dy * side + dx, y, x] += twin[i, c, y, x] * padded[i, c, y + dy, x + dx]
    return out


@numba.njit(parallel=True, fastmath=True)
def _backward(gradient, twin, padded, side):
    n, n_c, n_y, n_x = twin.shape
    of_twin, of_padded = np.zeros_like(twin), np.zeros_like(padded)
    for i in numba.prange(n):
        for c in range(n_c):
            for dy in range(side):
                for dx in range(side):
                    for y in range(n_y):
                        for x in range(n_x):
                            of_twin[i, c, y, x] += gradient[i, dy * side + dx, y, x] * padded[i, c, y + dy, x + dx]
                        for x in range(n_x):
                            of_padded[i, c, y + dy, x + dx] += gradient[i, dy * side + dx, y, x] * twin[i, c, y, x]
    return of_twin, of_padded


class Correlation(torch.autograd.Function):
    """Products of `twin` `[n, c, y, x]` with `padded` `[n, c, y + side - 1, x + side - 1]`: `[n, side², y, x]`."""

    @staticmethod
    def forward(ctx, twin, padded, side):
        twin, padded = twin.contiguous(), padded.contiguous()
        ctx.save_for_backward(twin, padded)
        ctx.side = side
        return torch.from_numpy(_forward(twin.numpy(), padded.numpy(), side))

    @staticmethod
    def backward(ctx, gradient):
        twin, padded = (part.numpy() for part in ctx.saved_tensors)
        of_twin, of_padded = _backward(gradient.contiguous().numpy(), twin, padded, ctx.side)
        return torch.from_numpy(of_twin), torch.from_numpy(of_padded), None
