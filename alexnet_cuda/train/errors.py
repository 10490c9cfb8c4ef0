"""What can go wrong once training has begun."""


class TrainingError(RuntimeError):
    """Training cannot go on, or its result is not on the disk: a loss or a weight that is not finite, no room for
    the checkpoint.

    One line that says where, and what to do. The command line ends with exit status 1.
    """
