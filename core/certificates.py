"""Explains why a server's certificate is not believed, and what helps: four faults, four remedies."""

from __future__ import annotations

import ssl

from core.texts import Text

# Numbers of OpenSSL's include/openssl/x509_vfy.h, which `ssl` hands through as `verify_code`.
_NOT_YET_VALID = frozenset({9, 11})
_EXPIRED = frozenset({10, 12})
_OF_ANOTHER_NAME = frozenset({62, 64})
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21, 27})


def reason(error: ssl.SSLCertVerificationError, setting: str | Text) -> Text:
    """Return what is wrong and what to do; `setting` is the variable that names the CA file of this server."""
    code, told, where = error.verify_code, error.verify_message, Text.of(setting)
    if code in _EXPIRED:
        return Text(
            f"the server's certificate has expired: it has to be renewed on the server ({told})",
            f"сертификат сервера истёк: его нужно обновить на сервере ({told})",
        )
    if code in _NOT_YET_VALID:
        return Text(
            f"the server's certificate is not valid yet: compare the clocks of both machines ({told})",
            f"сертификат сервера ещё не действует: сверьте часы обеих машин ({told})",
        )
    if code in _OF_ANOTHER_NAME:
        return Text(
            f"the server's certificate is for another name: use one of its names as the address ({told})",
            f"сертификат сервера выдан на другое имя: укажите в адресе одно из его имён ({told})",
        )
    if code in _UNKNOWN_ISSUER:
        return Text(
            f"the issuer of the server's certificate is unknown: give its CA in {where.en} ({told})",
            f"издатель сертификата сервера неизвестен: укажите его CA в {where.ru} ({told})",
        )
    return Text(
        f"the server's certificate is not trusted ({told}); {where.en} names the CA that is believed",
        f"сертификат сервера не вызывает доверия ({told}); доверенный CA указывается в {where.ru}",
    )
