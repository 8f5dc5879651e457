"""Pure: what a model is given of a history, what that costs, and how a history is made short."""
