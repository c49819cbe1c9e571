"""Keys of certificates, as people have them."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization


def encrypt_key(key: Path, encrypted: Path) -> None:
    """Write the private key to another file, with a passphrase."""
    encrypted.write_bytes(
        serialization.load_pem_private_key(key.read_bytes(), password=None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hush"),
        )
    )
