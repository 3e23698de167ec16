# SPDX-License-Identifier: Apache-2.0
"""The certificate authority that Tidegate creates for a state folder."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidegate.kit.authority import Authority, Certified

NOW = datetime.now(UTC)
YEAR = timedelta(days=365)


def test_an_authority_recognizes_its_certificates_and_their_names(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "ours", NOW), Authority(tmp_path / "others", NOW)
    made = ours.certify("server", ["one.example", "127.0.0.1"], NOW, YEAR).certificate

    assert ours.certified(made, ["one.example", "127.0.0.1"])
    assert not ours.certified(made, ["one.example"])
    assert not others.certified(made, ["one.example", "127.0.0.1"])


def test_an_authority_is_renewed_a_month_before_it_expires(tmp_path: Path) -> None:
    first = Authority(tmp_path, NOW).pem

    assert Authority(tmp_path, NOW + 9 * YEAR).pem == first
    assert Authority(tmp_path, NOW + 10 * YEAR).pem != first


def test_a_stored_certificate_is_loaded_unless_it_is_invalid(tmp_path: Path) -> None:
    made = Authority(tmp_path, NOW).certify("server", ["one.example"], NOW, YEAR)
    made.keep(tmp_path, "server")

    loaded = Certified.load(tmp_path, "server")
    assert loaded is not None
    assert (loaded.certificate_pem, loaded.key_pem) == (made.certificate_pem, made.key_pem)
    assert [made.is_ending(NOW + timedelta(days=days)) for days in (300, 340)] == [False, True]

    (tmp_path / "server.key").write_bytes(Authority(tmp_path, NOW).certify("other", ["x"], NOW, YEAR).key_pem)
    assert Certified.load(tmp_path, "server") is None
    (tmp_path / "server.crt").unlink()
    assert Certified.load(tmp_path, "server") is None
