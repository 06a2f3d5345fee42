"""The names in certificates, as text (RFC 4514)."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import NameAttribute, RelativeDistinguishedName
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from pronghorn.listen import distinguished_names


def subject(*parts: list[NameAttribute], serial: int = 1) -> str:
    """The text for a certificate of these parts, from the least to the most specific."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([RelativeDistinguishedName(part) for part in parts])
    issuer = x509.Name([NameAttribute(NameOID.COMMON_NAME, "the issuer")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(serial).not_valid_before(now).not_valid_after(now + datetime.timedelta(1))
    return distinguished_names.subject(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))


def common(text: str, kind: _ASN1Type | None = None) -> list[NameAttribute]:
    return [NameAttribute(NameOID.COMMON_NAME, text, kind)]


def test_parts_are_in_reverse_order() -> None:
    country = [NameAttribute(NameOID.COUNTRY_NAME, "AT")]
    organization = [NameAttribute(NameOID.ORGANIZATION_NAME, "Example")]
    assert subject(country, organization, common("someone")) == "CN=someone,O=Example,C=AT"


def test_values_of_one_part_are_joined_by_plus() -> None:
    part = [NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Sales"), *common("J.  Smith")]
    domain = [[NameAttribute(NameOID.DOMAIN_COMPONENT, each)] for each in ("net", "example")]
    text = subject(*domain, part)
    assert text in ("OU=Sales+CN=J.  Smith,DC=example,DC=net", "CN=J.  Smith+OU=Sales,DC=example,DC=net")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('James "Jim" Smith, III', r"James \"Jim\" Smith\, III"),
        ("a+b;c<d>e\\f=g", r"a\+b\;c\<d\>e\\f=g"),
        ("#1 # 2", r"\#1 # 2"),
        (" both ", r"\ both\ "),
        (" ", r"\ "),
        ("  ", r"\ \ "),
        ("a\0b", r"a\00b"),
        ("Lučić 🦌", "Lučić 🦌"),
    ],
)
def test_special_characters_are_escaped(value: str, text: str) -> None:
    assert subject(common(value)) == f"CN={text}"


@pytest.mark.parametrize("kind", ["PrintableString", "IA5String", "BMPString", "VisibleString", "NumericString"])
def test_string_types_are_decoded(kind: str) -> None:
    assert subject(common("1234", getattr(_ASN1Type, kind))) == "CN=1234"


def test_attributes_without_short_name_are_in_hexadecimal() -> None:
    assert subject([NameAttribute(NameOID.EMAIL_ADDRESS, "a@b")]) == "1.2.840.113549.1.9.1=#1603614062"
    assert subject([NameAttribute(x509.ObjectIdentifier("2.999.16384"), "x")]) == "2.999.16384=#0c0178"


def test_value_that_is_no_string_is_in_hexadecimal() -> None:
    bits = NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\0\xff", _ASN1Type.BitString)
    assert subject([bits]) == "2.5.4.45=#030200ff"


def test_subject_may_be_empty_or_long() -> None:
    assert subject() == ""
    units = [[NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, str(number) * 60)] for number in range(9)]
    assert subject(*units) == ",".join(f"OU={str(number) * 60}" for number in reversed(range(9)))
