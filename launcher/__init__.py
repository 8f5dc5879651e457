"""What `make run` starts when nothing is configured: real servers, and a stand-in for the model."""
