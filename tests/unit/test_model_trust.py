"""Whom the model's client trusts: whom the machine trusts where there is TLS on the way, and otherwise nobody."""

import ssl

import pytest

from config.connections import choose_trust


@pytest.mark.parametrize(
    "addresses",
    [["https://api.example/v1"], ["HTTPS://api.example/v1"], ["http://model:8000/v1", "https://proxy.example:3128"]],
)
def test_with_tls_on_the_way_the_machines_certificates_are_trusted(addresses: list[str]) -> None:
    context = choose_trust(addresses)

    assert context.cert_store_stats() == ssl.create_default_context().cert_store_stats()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_without_tls_on_the_way_no_certificate_is_read_and_none_would_do() -> None:
    context = choose_trust(["http://model:8000/v1", "http://proxy.example:3128"])

    assert context.cert_store_stats()["x509_ca"] == 0
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
