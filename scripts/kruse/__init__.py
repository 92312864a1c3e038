"""The planar arm of Kruse et al. (2021): the problem, its exact posterior, scores, and mixture density networks for it."""
