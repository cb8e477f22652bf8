"""k2-nano, the embedded model: synthetic conversations, training, evaluation, model folders."""
