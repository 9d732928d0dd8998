"""The teacher behind an endpoint: what is sent, what is read, and that every ask ends exactly once whatever the server does."""

from __future__ import annotations

import base64
import io
import logging
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from vlmpost.config.curate import TeacherConfig
from vlmpost.config.schema import GenerationConfig
from vlmpost.curation.chat_teacher import ChatTeacher
from vlmpost.curation.endpoint import API_KEY, BASE_URL, EndpointChat
from vlmpost.curation.image_urls import MAX_URL_BYTES, data_url
from vlmpost.curation.records import Answer, Ask, Failure
from vlmpost.errors import ConfigError, DataError
from vlmpost.records import IMAGE, Example, ImageRef, Message
from vlmpost.rewards.chat_replies import ChatReply, reply_in

sys.path.insert(0, str(Path(__file__).parent))
from scripted_server import ACTS, Script, ScriptedServer, by_chance

KEY = "sk-very-secret-0123456789"
GOOD = r"It is \boxed{7}."


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY, KEY)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Starts a server by a script, or by one act for all."""
    running: list[ScriptedServer] = []

    def start(script: Script | str = "good", **changes: object) -> ScriptedServer:
        server = ScriptedServer(script=(lambda _: script) if isinstance(script, str) else script, **changes)
        running.append(server.__enter__())
        monkeypatch.setenv(BASE_URL, server.url)
        return server

    yield start
    for server in running:
        server.__exit__(None, None, None)


def chat(generation: GenerationConfig | None = None, **changes: object) -> EndpointChat:
    teacher = TeacherConfig(kind="endpoint", name="big", **{"max_seconds": 5.0, **changes})
    return EndpointChat(teacher, generation=generation or GenerationConfig(), pause_seconds=0.01)


def teacher(**changes: object) -> ChatTeacher:
    return ChatTeacher(chat(**changes))


def question(number: int, *, images: tuple[ImageRef, ...] = ()) -> Example:
    content = (*(IMAGE for _ in images), f"Question {number}?")
    return Example(f"q{number}", "t", (Message("user", content),), images=images, answer="7")


def asks(number: int) -> list[Ask]:
    return [Ask(question(place), sample=place % 2, seed=2**62 + place) for place in range(number)]


def only(teacher: ChatTeacher) -> Answer | Failure:
    [(_, outcome)] = list(teacher.answer(asks(1)))
    return outcome


def png(mode: str = "RGB", size: tuple[int, int] = (4, 3), format: str = "PNG", **saved: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, format=format, **saved)
    return file.getvalue()


NOT_MIXED = ("refused", "no_model", "unfit", "other_budget", "odd_usage")
MIXED = {act: 0.06 for act in ACTS if act not in ("good", "huge", *NOT_MIXED)} | {"huge": 0.01}
"""All faults that pass: 13 acts of 6 % and one of 1 % leave 21 % good at first sight."""


def test_under_all_faults_every_ask_ends_once(serve: type[ScriptedServer]) -> None:
    server = serve(by_chance(MIXED, seed=3), slow_seconds=0.01)
    wanted = asks(200)
    found = list(teacher(max_tries=5, max_concurrent=16).answer(wanted))
    assert Counter((ask.example.id, ask.sample) for ask, _ in found) == Counter((ask.example.id, ask.sample) for ask in wanted)
    assert set(server.acts) == set(ACTS) - set(NOT_MIXED)  # every fault was there
    answers = [outcome for _, outcome in found if isinstance(outcome, Answer)]
    failures = [outcome for _, outcome in found if isinstance(outcome, Failure)]
    assert len(answers) > 100
    # Not tried again: what the content filter ended, and questions that are too long; all other faults are.
    assert Counter(failure.reason for failure in failures)["ended by content_filter"] == server.acts.count("filtered")
    assert sum(failure.lasting for failure in failures) == server.acts.count("too_long")
    assert len(server.asked) <= 200 * 5


@pytest.mark.parametrize(
    ("act", "reason", "num_requests"),
    [
        ("status_500", "status 500", 3),
        ("rate_limited", "status 429", 3),
        ("not_json", "not a chat completion", 3),
        ("no_choices", "not a chat completion", 3),
        ("cut_connection", "the connection failed (RemoteProtocolError)", 3),
        ("no_text", "a reply without a text", 3),
        ("huge", "the reply is too long", 3),
        ("filtered", "ended by content_filter", 1),
        ("too_long", "the question is too long for the server", 1),
    ],
)
def test_what_is_no_answer_is_a_failure_after_the_tries_that_may_help(
    serve: type[ScriptedServer], act: str, reason: str, num_requests: int
) -> None:
    server = serve(act)
    assert only(teacher(max_tries=3)) == Failure(reason, "big", lasting=act == "too_long")
    assert len(server.asked) == num_requests


def test_a_refused_question_fails_for_good_with_the_servers_words_on_one_line(serve: type[ScriptedServer]) -> None:
    server = serve("unfit")
    found = only(teacher(max_tries=3))
    assert isinstance(found, Failure)
    assert (found.reason, found.lasting) == ("refused by the server (status 400)", True)
    assert "The image is smaller" in found.detail
    assert "\n" not in found.detail
    assert len(server.asked) == 1


def test_a_server_that_refuses_all_is_given_up(serve: type[ScriptedServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlmpost.rewards.chat_server.MAX_REFUSED", 10)
    server = serve("unfit")
    came = []
    with pytest.raises(ConfigError, match=r"refused 10 requests and replied to none .*smaller"):
        for pair in teacher(max_concurrent=1).answer(asks(50)):
            came.append(pair)
    assert len(server.asked) == 10
    assert len(came) == 9  # the tenth is the error


def test_refusals_after_a_reply_end_nothing(serve: type[ScriptedServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlmpost.rewards.chat_server.MAX_REFUSED", 10)
    serve(lambda asked: "good" if asked.number == 0 else "unfit")
    found = [outcome for _, outcome in teacher(max_concurrent=1).answer(asks(30))]
    assert sum(isinstance(outcome, Failure) for outcome in found) == 29


def test_a_budget_that_is_known_by_its_other_name_is_sent_so_from_then_on(serve: type[ScriptedServer]) -> None:
    server = serve("other_budget")
    found = [outcome for _, outcome in teacher(max_concurrent=1, max_tries=1).answer(asks(3))]
    assert [outcome.text for outcome in found if isinstance(outcome, Answer)] == [GOOD] * 3
    budgets = [{key: value for key, value in asked.body.items() if key.startswith("max_")} for asked in server.asked]
    other = {"max_completion_tokens": 512}
    assert budgets == [{"max_tokens": 512}, other, other, other]


def test_several_at_once_find_the_other_name_each(serve: type[ScriptedServer]) -> None:
    serve("other_budget")
    found = [outcome for _, outcome in teacher(max_concurrent=8, max_tries=1).answer(asks(24))]
    assert all(isinstance(outcome, Answer) for outcome in found)


def test_a_count_that_is_none_is_not_taken_for_one(serve: type[ScriptedServer]) -> None:
    serve("odd_usage")
    assert only(teacher()) == Answer(GOOD, None, "stop", "big")


@pytest.mark.parametrize("said", ["-3", "true", "1e400", '"12"', "3.5"])
def test_only_a_whole_number_is_a_count_of_tokens(said: str) -> None:
    body = '{"choices": [{"message": {"content": "7"}}], "usage": {"completion_tokens": COUNT}}'.replace("COUNT", said)
    reply = reply_in(body.encode())
    assert isinstance(reply, ChatReply)
    assert reply.num_tokens is None


@pytest.mark.parametrize("act", ["status_500", "rate_limited", "not_json", "no_choices", "cut_connection", "no_text"])
def test_a_fault_that_passes_leaves_an_answer(serve: type[ScriptedServer], act: str) -> None:
    server = serve(lambda asked: act if asked.num_before < 2 else "good")
    assert only(teacher(max_tries=3)) == Answer(GOOD, 3, "stop", "big")  # "It", "is", "\boxed{7}."
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("act", "text", "stop_reason"),
    [
        ("good", GOOD, "stop"),
        ("silent_end", GOOD, "stop"),
        ("length", GOOD[:8], "length"),  # half of 16 characters
        ("reasoning", f"<think>\nLet me think.\n</think>\n\n{GOOD}", "stop"),
        ("cut_reasoning", "<think>\nLet me think and", "length"),
    ],
)
def test_what_is_read_of_a_reply(serve: type[ScriptedServer], act: str, text: str, stop_reason: str) -> None:
    serve(act)
    outcome = only(teacher())
    assert isinstance(outcome, Answer)
    assert (outcome.text, outcome.stop_reason) == (text, stop_reason)


def test_a_reply_without_a_finish_reason_that_fills_its_budget_was_cut(serve: type[ScriptedServer]) -> None:
    serve("silent_end")
    outcome = only(teacher(generation=GenerationConfig(max_completion_length=3)))  # the reply has 3 tokens
    assert isinstance(outcome, Answer)
    assert outcome.stop_reason == "length"


def test_thinking_is_left_out_where_it_is_not_wanted(serve: type[ScriptedServer]) -> None:
    serve("reasoning")
    assert only(ChatTeacher(chat(), think_tags=False)) == Answer(GOOD, 3, "stop", "big")


def test_each_sample_is_a_request_with_its_own_seed_and_the_recipes_sampling(serve: type[ScriptedServer]) -> None:
    server = serve()
    generation = GenerationConfig(temperature=0.7, top_p=0.9, max_completion_length=99)
    wanted = [Ask(question(1), sample, seed) for sample, seed in enumerate((5, 2**62 + 6))]
    list(ChatTeacher(chat(generation), instruction="Box it.").answer(wanted))
    bodies = sorted((asked.body for asked in server.asked), key=lambda body: body["seed"])
    expected = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 99, "model": "big"}
    messages = [{"role": "user", "content": "Question 1?\nBox it."}]
    assert bodies == [{**expected, "messages": messages, "seed": 5}, {**expected, "messages": messages, "seed": 6}]  # 2**62 mod 2**31 = 0
    assert {asked.authorization for asked in server.asked} == {f"Bearer {KEY}"}


def test_half_characters_travel_as_they_are(serve: type[ScriptedServer]) -> None:
    server = serve(say=lambda _: "half \ud83d")
    example = Example("q", "t", (Message("user", ("a cut emoji \ud83d",)),))
    [(_, outcome)] = list(teacher().answer([Ask(example, 0, 0)]))
    assert outcome == Answer("half \ud83d", 2, "stop", "big")
    assert server.asked[0].text == "a cut emoji \ud83d"


def test_keys_that_openai_does_not_know_are_sent_where_they_are_set(serve: type[ScriptedServer]) -> None:
    server = serve()
    only(ChatTeacher(chat(GenerationConfig(top_k=20, min_p=0.1, repetition_penalty=1.1))))
    assert {"top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1}.items() <= server.asked[0].body.items()


def test_images_stand_at_their_slots_with_the_type_of_their_bytes(serve: type[ScriptedServer], tmp_path: Path) -> None:
    server = serve()
    misnamed = tmp_path / "really_a_jpeg.png"
    misnamed.write_bytes(png(format="JPEG"))
    first, second = ImageRef(data=png()), ImageRef(path=str(misnamed))
    prompt = (Message("system", ("Be brief.",)), Message("user", ("Is ", IMAGE, " like ", IMAGE, "?")))
    list(teacher().answer([Ask(Example("q", "t", prompt, images=(first, second)), 0, 0)]))
    system, user = server.asked[0].body["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert [block["type"] for block in user["content"]] == ["text", "image_url", "text", "image_url", "text"]
    urls = [block["image_url"]["url"] for block in user["content"] if block["type"] == "image_url"]
    assert urls == [
        f"data:image/png;base64,{base64.b64encode(png()).decode()}",
        f"data:image/jpeg;base64,{base64.b64encode(misnamed.read_bytes()).decode()}",
    ]


def test_an_image_that_cannot_be_sent_fails_alone_and_for_good(serve: type[ScriptedServer], tmp_path: Path) -> None:
    server = serve()
    lost = question(1, images=(ImageRef(path=str(tmp_path / "lost.png")),))
    found = {ask.example.id: outcome for ask, outcome in teacher().answer([Ask(lost, 0, 0), Ask(question(2), 0, 0)])}
    assert found["q1"] == Failure("an image cannot be sent", "big", lasting=True)
    assert isinstance(found["q2"], Answer)
    assert len(server.asked) == 1


@pytest.mark.parametrize("data", [png("RGBA"), png("LA"), png("I;16"), png(format="BMP"), png(format="GIF"), png(format="TIFF")])
def test_what_servers_read_differently_is_sent_as_a_plain_png(data: bytes) -> None:
    url = data_url(ImageRef(data=data))
    head, encoded = url.split(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        assert (image.mode, image.size, image.format) == ("RGB", (4, 3), "PNG")


def test_a_turned_photograph_is_sent_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    url = data_url(ImageRef(data=png(format="JPEG", exif=exif)))
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as image:
        assert (image.format, image.size) == ("PNG", (3, 4))


def test_an_image_over_the_limit_of_servers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_URL_BYTES == 20 * 1024 * 1024
    monkeypatch.setattr("vlmpost.curation.image_urls.MAX_URL_BYTES", 50)
    with pytest.raises(DataError, match="Scale the image down"):
        data_url(ImageRef(data=png()))


def test_the_wait_that_a_server_asks_for_is_kept(serve: type[ScriptedServer]) -> None:
    serve(lambda asked: "rate_limited" if asked.num_before < 1 else "good", retry_after="0.5")
    began = time.monotonic()
    assert isinstance(only(teacher()), Answer)
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize(("act", "word"), [("refused", "the key is refused"), ("no_model", "no such address or model")])
def test_a_refusal_ends_the_run_with_one_sentence_and_keeps_what_came_before(serve: type[ScriptedServer], act: str, word: str) -> None:
    server = serve(lambda asked: "good" if asked.number < 5 else act)
    came = []
    with pytest.raises(ConfigError, match=word) as caught:
        for pair in teacher(max_concurrent=1).answer(asks(50)):
            came.append(pair)  # what came before the error
    assert len(came) == 5
    assert len(server.asked) == 6
    assert BASE_URL in str(caught.value)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nobody_at_the_address_ends_the_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv(BASE_URL, f"http://{address}/v1")
        began = time.monotonic()
        with pytest.raises(ConfigError, match="nobody answers at its address") as caught:
            list(teacher(max_tries=50).answer(asks(20)))
    assert time.monotonic() - began < 3
    assert address not in str(caught.value)


def test_a_server_that_goes_away_later_leaves_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(script=lambda asked: "good" if asked.number == 0 else "cut_connection") as server:
        monkeypatch.setenv(BASE_URL, server.url)
        stream = teacher(max_concurrent=1, max_tries=2).answer(asks(4))
        assert isinstance(next(stream)[1], Answer)
    # The second ask is cut on the open connection, then finds nobody; the others find nobody.
    assert [outcome for _, outcome in stream] == [Failure("the connection failed (ConnectError)", "big")] * 3


def test_closing_the_stream_ends_requests_under_way(serve: type[ScriptedServer]) -> None:
    serve(lambda asked: "good" if asked.number == 0 else "slow", slow_seconds=3.0)
    stream = teacher(max_concurrent=4).answer(asks(20))
    next(stream)
    began = time.monotonic()
    stream.close()  # type: ignore[attr-defined]  # a generator
    assert time.monotonic() - began < 1


def test_a_reply_that_takes_too_long_is_a_failure(serve: type[ScriptedServer]) -> None:
    serve("slow", slow_seconds=0.5)
    assert only(teacher(max_seconds=0.1, max_tries=1)) == Failure("Timeout", "big")


def test_no_more_requests_are_under_way_than_allowed(serve: type[ScriptedServer]) -> None:
    under_way, most = 0, 0

    def script(_: object) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        time.sleep(0.02)
        under_way -= 1
        return "good"

    serve(script)
    list(teacher(max_concurrent=3).answer(asks(20)))
    assert most == 3


def test_neither_key_nor_address_is_in_any_failure_or_log(serve: type[ScriptedServer], caplog: pytest.LogCaptureFixture) -> None:
    server = serve(by_chance({"status_500": 0.5, "cut_connection": 0.2}, seed=1))  # a 500 shows the key that was sent
    with caplog.at_level(logging.DEBUG):
        found = list(teacher(max_tries=2).answer(asks(40)))
    said = caplog.text + repr(found)
    assert "status 500" in said
    assert "***" in caplog.text
    assert KEY not in said
    assert server.url.removeprefix("http://") not in said


@pytest.mark.parametrize("key", ["two words", "ends\n", "schl\u00fcssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(
    serve: type[ScriptedServer], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    serve()
    monkeypatch.setenv(API_KEY, key)
    with pytest.raises(ConfigError, match=API_KEY) as caught:
        only(teacher())
    assert key not in str(caught.value)


def test_a_teacher_needs_an_address_and_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BASE_URL, raising=False)
    with pytest.raises(ConfigError, match=BASE_URL):
        chat()
    monkeypatch.setenv(BASE_URL, "localhost:8000/v1")
    with pytest.raises(ConfigError, match="is not an address"):
        chat()
    with pytest.raises(ConfigError, match=r"teacher\.name"):
        EndpointChat(TeacherConfig(kind="endpoint"), generation=GenerationConfig())
