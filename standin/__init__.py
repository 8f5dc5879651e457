"""The stand-in model: speaks OpenAI's protocols, says only what its input says, fails on request. See README.md."""
