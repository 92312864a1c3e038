"""Pages of the documentation that are made from results, model files and docstrings."""
