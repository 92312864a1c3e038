"""The solver's compiled code (numba): plain loops over targets and lanes, each with a plain twin in the tests."""
