"""The laws that others proposed, a module each; ``registry`` finds what a module lists in its LAWS.

N is in parameters and D in tokens where a docstring does not say otherwise.  E is the irreducible loss in every law,
whatever letter the paper gives it.
"""
