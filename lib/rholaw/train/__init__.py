"""Training in compressed representations: decoders, the gradients of rounding and pruning, records and sweeps."""
