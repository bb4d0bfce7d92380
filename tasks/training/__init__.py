"""Training: batches in an order that is a pure function of the step, the loop, checkpoints that resume exactly."""
