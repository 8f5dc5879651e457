"""A real sealer with a test secret."""

from prompts.adapters.sealing import AesGcmSealer

SEALER = AesGcmSealer("a secret for tests")
