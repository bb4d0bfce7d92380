"""Who answers held-out questions without a model: solvers that learn from the training side, and the pixel probe."""
