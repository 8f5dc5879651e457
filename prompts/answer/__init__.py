"""Pure: what a model says, told as events and output items."""
