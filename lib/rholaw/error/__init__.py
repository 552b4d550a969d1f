"""The error with which a format represents data: GMSE, exact where an integral gives it, and its lower bounds."""
