"""One comment of ours on a pull request, whatever GitHub, people and other runs do meanwhile.

After each publication the whole state of a fake GitHub is compared: nothing is posted twice, and
nothing is lost.
"""

import threading
from collections.abc import Mapping
from dataclasses import replace

import pytest

from pipeline.publish import upsert
from pipeline.publish.comments import comment_thread
from pipeline.publish.github import GitHub, RetryDelays, TooLongError
from pipeline.system.errors import NetworkError, PublishError
from tests.github.answers import BOT
from tests.github.fake import Fault
from tests.github.fake import GitHub as Fake
from tests.loopback import Request, answering

MARKER = "<!-- milo-perf:comment v=1 key=pr -->"
OTHER = "<!-- milo-perf:comment v=1 key=smoke -->"
RED, GREEN = f"{MARKER}\n## red", f"{MARKER}\n## green"
PATIENT = RetryDelays()
COMMENTS = r"POST .*/issues/5/comments"


class Slept(list[float]):
    """A sleep that only notes how long."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client(url: str, slept: Slept | None = None, waits: RetryDelays = PATIENT) -> GitHub:
    sleep = Slept() if slept is None else slept
    return GitHub(url, "milo-os/milo", "secret-token", "2022-11-28", waits, sleep)


def put(
    fake: Fake,
    *bodies: str,
    may_create: bool = True,
    slept: Slept | None = None,
    waits: RetryDelays = PATIENT,
) -> str:
    with fake.serving() as url:
        place = comment_thread(client(url, slept, waits), 5)
        return upsert.upsert(place, MARKER, BOT, bodies, may_create=may_create)


def test_a_comment_is_created_once_and_then_replaced_in_place(fake: Fake) -> None:
    assert put(fake, RED) == "comment on #5: created"
    assert put(fake, RED) == "comment on #5: up to date"
    assert put(fake, GREEN) == "comment on #5: updated"
    assert fake.bodies() == [GREEN]
    assert len(fake.writes()) == 2


def test_what_github_does_to_line_ends_is_no_reason_to_write_again(fake: Fake) -> None:
    fake.add_comment(5, RED.replace("\n", "\r\n") + "\n")
    put(fake, RED)
    assert fake.writes() == []


def test_nothing_is_created_where_there_is_nothing_to_say(fake: Fake) -> None:
    assert "nothing to say" in put(fake, GREEN, may_create=False)
    assert fake.comments == {}
    fake.add_comment(5, RED)
    assert put(fake, GREEN, may_create=False) == "comment on #5: updated"
    assert fake.bodies() == [GREEN]


def test_ours_is_found_on_the_third_page(fake: Fake) -> None:
    for number in range(240):
        fake.add_comment(5, f"comment {number}", "somebody")
    fake.add_comment(5, RED)
    fake.add_comment(5, "last", "somebody")
    put(fake, GREEN)
    assert fake.bodies() == [GREEN]
    assert len(fake.bodies("somebody")) == 241
    assert len(fake.writes()) == 1


@pytest.mark.parametrize(
    ("body", "login"),
    [
        pytest.param(RED, "mallory", id="by a person"),
        pytest.param(RED, "other[bot]", id="by another bot"),
        pytest.param(f"> quoting\n{RED}", BOT, id="not at its start"),
        pytest.param(OTHER, BOT, id="of another suite"),
        pytest.param(MARKER.replace("key=pr", "key=pr/x"), BOT, id="of a longer key"),
    ],
)
def test_a_marker_that_is_not_ours_is_left_alone(fake: Fake, body: str, login: str) -> None:
    planted = fake.add_comment(5, body, login)
    assert put(fake, GREEN) == "comment on #5: created"
    assert fake.comments[planted]["body"] == body
    assert sorted(fake.bodies(login) + fake.bodies(BOT)).count(GREEN) >= 1
    assert put(fake, GREEN) == "comment on #5: up to date"


def test_of_several_of_ours_the_oldest_stays(fake: Fake) -> None:
    oldest, _, _ = (fake.add_comment(5, body) for body in (RED, GREEN, RED))
    put(fake, GREEN)
    assert list(fake.comments) == [oldest]
    assert fake.bodies() == [GREEN]


def test_a_comment_that_is_deleted_meanwhile_is_created_again(fake: Fake) -> None:
    fake.add_comment(5, RED)

    def delete(asked: str) -> None:
        if asked.startswith("PATCH"):
            fake.comments.clear()

    fake.before = delete
    assert put(fake, GREEN) == "comment on #5: created"
    assert fake.bodies() == [GREEN]


def test_two_runs_at_once_leave_one_comment(fake: Fake) -> None:
    both = threading.Barrier(2)
    met = threading.Semaphore(2)

    def meet(asked: str) -> None:
        if asked.startswith("POST") and met.acquire(blocking=False):
            both.wait(timeout=20)  # both have looked, and found none

    fake.before = meet
    said: list[str] = []
    with fake.serving() as url:

        def run(body: str) -> None:
            place = comment_thread(client(url), 5)
            said.append(upsert.upsert(place, MARKER, BOT, [body], may_create=True))

        runs = [threading.Thread(target=run, args=(body,)) for body in (RED, GREEN)]
        for one in runs:
            one.start()
        for one in runs:
            one.join()
    assert len(said) == 2
    assert len(fake.bodies()) == 1
    assert fake.bodies()[0] in (RED, GREEN)
    assert sum(one.startswith("POST") for one in fake.asked) == 2


@pytest.mark.parametrize("how", ["broken after", "lost after"])
def test_what_was_created_though_the_answer_was_lost_is_not_created_again(
    fake: Fake, how: str
) -> None:
    fake.faults = [Fault(COMMENTS, how)]
    put(fake, RED)
    assert fake.bodies() == [RED]
    assert sum(one.startswith("POST") for one in fake.asked) == 1


@pytest.mark.parametrize("how", ["limited", "spent", "broken"])
@pytest.mark.parametrize("fits", ["GET .*/comments", COMMENTS, "PATCH .*/comments"])
def test_what_was_refused_is_asked_for_again(fake: Fake, fits: str, how: str) -> None:
    if fits.startswith("PATCH"):
        fake.add_comment(5, RED)
    fake.faults = [Fault(fits, how, times=2, seconds=7)]
    slept = Slept()
    put(fake, GREEN, slept=slept)
    assert fake.bodies() == [GREEN]
    assert fake.faults == []
    waits = [seconds for seconds in slept if seconds != RetryDelays().between]
    expected = {"limited": [7, 7], "broken": [2, 2] if fits == COMMENTS else [2, 4]}
    assert how == "spent" or waits == expected[how]


@pytest.mark.parametrize(
    "how", ["limited, and no more", "spent, and no more", "spent by another clock", "abuse"]
)
def test_a_limit_that_says_nothing_is_waited_for_a_minute_then_two(fake: Fake, how: str) -> None:
    slept = Slept()
    fake.faults = [Fault("GET", how, times=2)]
    put(fake, GREEN, slept=slept)
    assert slept[:2] == [60, 120]


def test_to_wait_longer_than_we_may_is_an_error_that_posts_nothing(fake: Fake) -> None:
    fake.faults = [Fault(COMMENTS, "limited", seconds=3600)]
    slept = Slept()
    with pytest.raises(NetworkError, match=r"another 3600 s would exceed the limit of 600 s"):
        put(fake, RED, slept=slept)
    assert slept == []
    assert fake.comments == {}


def test_a_github_that_stays_broken_is_an_error_after_ten_minutes(fake: Fake) -> None:
    fake.faults = [Fault("GET", "broken", times=10_000)]
    slept = Slept()
    with pytest.raises(NetworkError, match="502 Server Error"):
        put(fake, RED, slept=slept)
    assert 200 < sum(slept) <= 600


def test_a_slow_answer_is_waited_for_and_one_that_never_comes_is_not(fake: Fake) -> None:
    fake.faults = [Fault("GET", "slow", seconds=1)]
    assert put(fake, RED) == "comment on #5: created"
    fake.faults = [Fault("GET", "slow", seconds=1)]
    slept = Slept()
    put(fake, GREEN, slept=slept, waits=RetryDelays(answer=0.2))
    assert slept[0] == RetryDelays().broken
    assert fake.bodies() == [GREEN]


def test_a_text_that_is_too_long_for_github_is_shortened(fake: Fake) -> None:
    long = RED + "x" * 70_000
    put(fake, long, RED)
    assert fake.bodies() == [RED]
    put(fake, long, GREEN)
    assert fake.bodies() == [GREEN]
    with pytest.raises(TooLongError, match="Body is too long"):
        put(fake, long)
    assert fake.bodies() == [GREEN]


@pytest.mark.parametrize("length", [65_535, 65_536])
def test_a_text_that_just_fits_is_posted_whole(fake: Fake, length: int) -> None:
    body = MARKER + "é" * (length - len(MARKER))
    put(fake, body, RED)
    assert fake.bodies() == [body]


def test_a_missing_permission_is_named(fake: Fake) -> None:
    fake.faults = [Fault(COMMENTS, "forbidden")]
    with pytest.raises(PublishError, match=r"integration: .* permission `pull-requests: write`"):
        put(fake, RED)
    assert fake.comments == {}
    assert sum(one.startswith("POST") for one in fake.asked) == 1


def test_a_token_that_is_not_accepted_is_said_and_not_shown(fake: Fake) -> None:
    with fake.serving() as url:
        github = replace(client(url), token="wrong-token")
        with pytest.raises(PublishError, match="not accepted") as caught:
            upsert.upsert(comment_thread(github, 5), MARKER, BOT, [RED], may_create=True)
    assert "wrong-token" not in f"{caught.value!r} {caught.value} {github!r}"


def test_changes_are_a_second_apart(fake: Fake) -> None:
    for body in (RED, GREEN, RED):
        fake.add_comment(5, body)
    slept = Slept()
    put(fake, GREEN, slept=slept)
    assert len(fake.writes()) == 3
    assert slept == [1.0, 1.0]


@pytest.mark.parametrize("body", ["[null]", '["x"]', "[[]]", "{}", "[{", "<html>", ""])
def test_a_list_of_no_objects_is_an_error_of_the_network(body: str) -> None:
    with (
        answering(lambda request, _: request.say(body)) as url,
        pytest.raises(NetworkError, match="no list of objects"),
    ):
        list(client(url).pages("/pulls"))


def test_a_redirect_to_another_host_does_not_take_the_token_along(fake: Fake) -> None:
    seen: list[Mapping[str, str]] = []

    def answer(one: Request, _: bytes) -> None:
        seen.append(dict(one.headers))
        one.say("[]")

    with answering(answer) as other:
        fake.elsewhere = other.replace("127.0.0.1", "localhost") + "/comments"
        fake.faults = [Fault("GET", "moved")]
        put(fake, RED, may_create=False)
    assert len(seen) == 1
    assert "Authorization" not in seen[0]


def test_a_change_is_not_sent_after_a_redirect(fake: Fake) -> None:
    fake.elsewhere = "http://127.0.0.1:9/"
    fake.faults = [Fault(COMMENTS, "moved")]
    with pytest.raises(PublishError, match="has moved"):
        put(fake, RED)


def test_a_next_page_on_another_host_is_not_asked_for() -> None:
    def answer(one: Request, _: bytes) -> None:
        one.send_response(200)
        one.send_header("Link", '<http://localhost:9/next>; rel="next"')
        one.send_header("Content-Length", "2")
        one.end_headers()
        one.wfile.write(b"[]")

    with answering(answer) as url, pytest.raises(NetworkError, match="on another host"):
        list(client(url).pages("/issues/5/comments"))
