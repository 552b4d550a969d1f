"""What compressing a finished model costs: the atlas of measurements, and the law after training that follows from it."""
