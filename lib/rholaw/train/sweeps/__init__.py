"""Many runs from one file: what it asks for, what that costs, the workers, and the store of results."""
