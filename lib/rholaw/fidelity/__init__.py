"""What compressing a finished model costs: the atlas of measurements, and the law that follows from it."""
