"""`dgpg serve` over HTTPS, with a certificate of its own making."""

import http.client
import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dgpg.deploy import Policy

from ..commands import refused

for _name in ("onnx", "onnxscript", "onnxruntime", "fastapi", "uvicorn", "prometheus_client", "httpx2"):
    pytest.importorskip(_name, reason="needs the extras export and serve")
if shutil.which("openssl") is None:
    pytest.skip("openssl, which makes the certificate, is not installed", allow_module_level=True)
client = pytest.importorskip("tests.serve.asking")
process = pytest.importorskip("dgpg.serve.process")

from .test_process import events, serving  # noqa: E402


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`cert`, self-signed for 127.0.0.1, its `key`, the same `locked`, and the key of `another`.

    `client` is signed by the first, `stranger` by the other.
    """
    made = tmp_path_factory.mktemp("tls")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2)
    for cert, key in (("cert", "key"), ("another cert", "another")):
        openssl("req", "-x509", *curve, "-keyout", made / key, "-out", made / cert,
                "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")  # fmt: skip
    for who, by in (("client", "cert"), ("stranger", "another cert")):
        key, asked = made / f"{who} key", made / "asked"
        openssl("req", *curve[:4], "-nodes", "-keyout", key, "-out", asked, "-subj", f"/CN={who}")
        signer = made / {"cert": "key", "another cert": "another"}[by]
        openssl("x509", "-req", "-in", asked, "-CA", made / by, "-CAkey", signer, "-CAcreateserial", "-days", 2,
                "-out", made / who)  # fmt: skip
    openssl("pkey", "-in", made / "key", "-aes256", "-passout", "pass:secret", "-out", made / "locked")
    (made / "text").write_text("a certificate\n")
    yield made


def test_answers_come_over_https_alone(folder: Path, files: Path, tmp_path: Path) -> None:
    policy = Policy.load(folder)
    content = client.seen(policy, 3, 4)
    trusted = ssl.create_default_context(cafile=str(files / "cert"))
    options = ("--tls-cert", str(files / "cert"), "--tls-key", str(files / "key"))
    with serving(folder, tmp_path / "log", *options) as (_, port):
        with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=trusted)) as line:
            line.request("POST", "/decide", json.dumps(content))
            assert json.loads(line.getresponse().read())["action"] == policy.act(**content).tolist()
        stranger = ssl.create_default_context()  # which does not know who signed
        unknown = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=stranger)
        with closing(unknown), pytest.raises(ssl.SSLCertVerificationError):
            unknown.request("GET", "/healthz")
        plain = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        with closing(plain), pytest.raises((http.client.HTTPException, OSError)):
            plain.request("GET", "/healthz")
            plain.getresponse()
    assert events(tmp_path / "log", "listening")[0]["scheme"] == "https"


def test_clients_without_a_certificate_of_who_is_named_get_nothing(folder: Path, files: Path, tmp_path: Path) -> None:
    options = ("--tls-cert", "cert", "--tls-key", "key", "--tls-clients", "cert")
    named = [one if one.startswith("--") else str(files / one) for one in options]

    def asking(who: str | None) -> int:
        context = ssl.create_default_context(cafile=str(files / "cert"))
        if who is not None:
            context.load_cert_chain(files / who, files / f"{who} key")
        with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)) as line:
            line.request("GET", "/healthz")
            return line.getresponse().status

    with serving(folder, tmp_path / "log", *named, "--host", "0.0.0.0") as (_, port):
        assert asking("client") == 200
        for who in (None, "stranger"):
            with pytest.raises((ssl.SSLError, OSError)):
                asking(who)
        assert asking("client") == 200
    assert not events(tmp_path / "log", "warning")


@pytest.mark.parametrize(
    ("cert", "key", "said"),
    [
        ("cert", None, "--tls-cert and --tls-key go together"),
        (None, "key", "--tls-cert and --tls-key go together"),
        ("missing", "key", r"missing: cannot be read (No such file or directory)"),
        ("cert", "missing", r"missing: cannot be read (No such file or directory)"),
        ("text", "key", "text: not PEM; expected text that begins with -----BEGIN"),
        ("cert", "another", "the key is not that of the certificate"),
        ("cert", "locked", "no certificate with its unencrypted private key"),
        ("key", "cert", "no certificate with its unencrypted private key"),
    ],
)
def test_what_does_not_belong_together_is_told(
    folder: Path, files: Path, cert: str | None, key: str | None, said: str
) -> None:
    options = [x for name, file in (("--tls-cert", cert), ("--tls-key", key)) if file for x in (name, files / file)]
    assert said in refused("serve", folder, *options)


def test_clients_are_of_who_is_named(folder: Path, files: Path) -> None:
    pair = ("--tls-cert", files / "cert", "--tls-key", files / "key")
    assert "--tls-clients with both" in refused("serve", folder, "--tls-clients", files / "cert")
    assert "text: not PEM" in refused("serve", folder, *pair, "--tls-clients", files / "text")
    assert "no certificate in it" in refused("serve", folder, *pair, "--tls-clients", files / "key")


def test_a_token_that_anybody_can_read_is_told() -> None:
    settings, files = process.Settings, process.Tls(Path("cert"), Path("key"))
    told = {
        (token, tls): " ".join(process._warnings("10.0.0.1", settings(token=token), tls))
        for token in (None, "secret") for tls in (None, files)
    }  # fmt: skip
    assert "everybody who reaches 10.0.0.1" in told[None, files] and told["secret", files] == ""
    assert "the token travels to 10.0.0.1 readable" in told["secret", None]
