"""Devices, prices and kernels; what a model takes in bytes and seconds there, held against what others observed."""
