"""The Responses protocol: reading a request, writing an answer."""
