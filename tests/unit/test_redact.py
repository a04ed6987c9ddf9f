"""No password is shown, and nothing else is taken away."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.system import log, processes
from pipeline.system.redact import REMOVED, command_line, redact

SECRET = "s3cr3t-Pa55word-4711"
secrets = st.text("abcdefXYZ0123456789.~+-", min_size=12, max_size=40).filter(
    lambda text: any(map(str.isdigit, text)) and not text.startswith("-")
)
TEXTS = [
    "fatal: unable to access 'https://user:{}@git.example.org/milo.git/': 403",
    "https://{}@git.example.org/milo.git",
    "GET https://example.org/path?api_key={}&limit=1: no answer",
    "GET https://example.org/path?access_token={}: no answer",
    "Authorization: Bearer {}",
    "authorization: {}",
    '{{"Authorization": "Basic {}"}}',
    "curl: the header was Bearer {}",
    "`tool --token {} --verbose` exited with 1",
    "`tool --auth-token={} --verbose` exited with 1",
    "`tool --password '{} {}' --verbose` exited with 1",
    "env GITHUB_TOKEN={} make build",
    "DB_PASSWORD={} make build",
    "`binary:milo?env.API_TOKEN={}`: a size is missing",
]
COMMANDS = [
    ["git", "clone", "https://user:{}@git.example.org/milo.git", "milo"],
    ["tool", "--token", "{}", "--verbose"],
    ["tool", "--token={}"],
    ["tool", "-password", "{}"],
    ["tool", "--client-secret={} with a space"],
    ["env", "GITHUB_TOKEN={}", "make"],
    ["curl", "-H", "Authorization: Bearer {}", "https://example.org"],
]


@pytest.mark.parametrize("text", TEXTS)
@given(secret=secrets)
def test_a_password_in_a_text_is_not_shown(text: str, secret: str) -> None:
    shown = redact(text.format(secret, secret))

    assert secret not in shown
    assert REMOVED in shown
    assert redact(shown) == shown


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
@given(secret=secrets)
def test_a_password_in_a_command_is_not_shown(argv: list[str], secret: str) -> None:
    shown = command_line([word.format(secret) for word in argv])

    assert secret not in shown
    assert shown.startswith(argv[0])


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1))
def test_a_command_without_secrets_can_be_pasted(words: list[str]) -> None:
    argv = [word for word in words if redact(word) == word and "=" not in word]
    if any(command_line([word, "x"]).endswith(REMOVED) for word in argv):
        return  # the name of an option such as `--token`

    assert shlex.split(command_line(argv)) == argv


@pytest.mark.parametrize(
    "text",
    [
        "availability probe: no token: No such file or directory",
        "the bearer of this message has basic knowledge of authentication",
        "--token-auth-file=/run/tokens.csv --tls-private-key-file=/run/server.key",
        "--service-account-key-file=/run/accounts.pub",
        "object-crud/create_p50 {resource=secrets,verb=POST} is 31 % slower",
        "GET https://127.0.0.1:6443/api/v1/secrets?limit=1: 404",
        "http://[::1]:2379/health, image:registry.example.org/milo@sha256:0123abcd",
        "pair 1, object-crud: etcd of the candidate was killed by signal 9",
    ],
)
def test_an_ordinary_sentence_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_verbose_logs_errors_and_last_lines_show_no_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"https://user:{SECRET}@localhost/milo.git"
    log.configure(verbose=True)
    code = f"import sys; print('cannot reach {url}'); sys.exit(1)"
    with pytest.raises(processes.CommandError) as caught:
        processes.run(
            ["python3", "-c", code, url, "--token", SECRET],
            output=tmp_path / "log",
            timeout_s=20,
        )
    log.log.debug("where it was raised:", exc_info=caught.value)
    stderr = capsys.readouterr().err

    assert "$ python3" in stderr
    assert f"https://{REMOVED}@localhost" in stderr
    assert "cannot reach" in caught.value.hint
    for shown in (stderr, str(caught.value), caught.value.hint):
        assert SECRET not in shown
