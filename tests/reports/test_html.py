"""The HTML report: whole, offline, and harmless whatever a model wrote."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from vlmpost.evaluation.statistics import Estimate
from vlmpost.reports import charts, samples
from vlmpost.reports.demo import write_demo_report
from vlmpost.reports.html import name_of, write_report, write_run_report
from vlmpost.runs.directory import open_existing

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}</pre>&amp;"
VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Collects tags and checks that they close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text())
    reader.close()
    assert reader.open == []
    return reader


def rollout(step: int, question: str, outcome: str, **more: object) -> dict[str, object]:
    return {
        "step": step,
        "id": question,
        "sample": 0,
        "prompt": [{"role": "user", "content": f"<image>How many? {HOSTILE}"}],
        "images": ["rollout_images/one.png"],
        "answer": "7",
        "text": HOSTILE,
        "num_tokens": 5,
        "stop_reason": "stop",
        "reward": 0.1,
        "parts": {"accuracy": 0.0, "format": None},
        "advantage": -0.5,
        "outcome": outcome,
        "extracted": HOSTILE,
    } | more


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "rl"
    (folder / "rollout_images").mkdir(parents=True)
    buffer = io.BytesIO()
    Image.new("RGB", (900, 300), "red").save(buffer, format="PNG")
    (folder / "rollout_images" / "one.png").write_bytes(buffer.getvalue())
    (folder / "manifest.json").write_text(json.dumps({"kind": "rl", "argv": ["vlmpost", "rl", HOSTILE], "seeds": {"training": 42}}))
    (folder / "status.json").write_text(json.dumps({"state": "finished", "phase": "done", "step": 3}))
    rows = [{"attempt": 1, "step": step, "reward": step / 10, "loss": None if step == 2 else 0.5} for step in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rollouts = [
        rollout(1, "old", "wrong"),
        rollout(3, "a", "wrong"),
        rollout(3, "b", "correct"),
        rollout(3, "c", "wrong", images=["gone.png"]),
    ]
    (folder / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rollouts))
    return folder


def test_model_text_stays_text_and_nothing_is_fetched(run: Path) -> None:
    path = write_run_report(open_existing(run))
    reader = read(path)
    assert path == run / "report.html"
    assert {tag for tag, _ in reader.tags} & {"script", "iframe", "link", "object", "form", "base"} == set()
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    sources = [attributes["src"] or "" for tag, attributes in reader.tags if tag == "img"]
    assert len(sources) == 2
    assert all(source.startswith("data:image/") for source in sources)
    assert not [
        value for _, attributes in reader.tags for key, value in attributes.items() if key in ("href", "action", "xlink:href") and value
    ]
    assert "".join(reader.texts).count("{{ 7 * 7 }}") == 3 * 3 + 1, "prompt, text and reading of three rollouts, and the command"


def test_report_shows_summary_curves_and_each_part_of_the_reward(run: Path) -> None:
    text = "".join(read(write_run_report(open_existing(run))).texts)
    for part in (
        "finished, done, 3",
        "training 42",
        "accuracy 0,",
        "format -,",
        "total 0.1",
        "advantage -0.5",
        "gone.png (cannot be read)",
    ):
        assert part in text, part
    assert "old" not in text, "only the newest step is shown"
    html = (run / "report.html").read_text()
    assert html.count('<svg class="curve"') == 2
    assert len(re.findall("<polyline", html)) == 3, "the gap in the loss splits its line"


def test_images_are_made_small_and_stop_at_their_budget(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = samples.read_rollouts(run / "rollouts.jsonl")
    shown = samples.samples_of(run, rows[:2])
    assert all(len(sample.images) == 1 for sample in shown)
    monkeypatch.setattr(samples, "MAX_IMAGES_BYTES", len(shown[0].images[0]) + 1)
    first, second = samples.samples_of(run, rows[:2])
    assert (len(first.images), len(second.images)) == (1, 0)
    assert "too large" in second.missing_images[0]


def test_right_and_wrong_rollouts_take_turns_and_questions_do_not_repeat() -> None:
    rows = [
        rollout(2, name, outcome) for name, outcome in (("a", "wrong"), ("a", "wrong"), ("b", "wrong"), ("c", "correct"), ("c", "correct"))
    ]
    assert [row["id"] for row in samples.pick(rows, limit=4)] == ["c", "a", "b", "c"]
    assert samples.pick([], limit=4) == []


def test_a_curve_without_numbers_is_nothing_and_a_flat_one_is_drawn() -> None:
    assert charts.curve([("run", [])], title="x") == ""
    assert charts.curve([("run", [(1, float("nan"))])], title="x") == ""
    assert "NaN" not in charts.curve([("run", [(1, 0.0), (2, 0.0)])], title="x")
    long = charts.curve([("run", [(step, step % 7) for step in range(10_000)])], title="x")
    assert len(long) < 20_000


def test_the_interval_bar_ends_where_the_estimate_says() -> None:
    bar = charts.interval_bar(0.5, 0.25, 0.75)
    assert 'width="60.0"' in bar
    assert "M30.0 1v12M30.0 7H90.0" in bar
    assert "path" not in charts.interval_bar(0.5, None, None)


def test_the_demo_report_shows_gains_by_level_pictures_and_a_sentence_for_each_row(run: Path, tmp_path: Path) -> None:
    evaluations = {}
    for name, num_right in (("base", 10), ("SFT", 30), ("RL", 38)):
        folder = tmp_path / f"eval_{name}"
        folder.mkdir()
        rows = [
            {"id": str(index), "task": "t", "level": None, "sample": 0, "outcome": "correct" if index < num_right else "wrong"}
            | {"stop_reason": "stop", "num_tokens": 2, "text": HOSTILE}
            for index in range(40)
        ]
        (folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        evaluations[name] = folder
    levels = tmp_path / "levels.jsonl"
    rows = [{"id": str(index), "level": 1 if index < 35 else 5, "num_correct": 8, "num_runs": 16} for index in range(40)]
    levels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    by_seed = {"SFT": [evaluations["SFT"], evaluations["RL"]]}
    said, path = write_demo_report(tmp_path, evaluations=evaluations, levels=levels, by_seed=by_seed)
    # 30 and 38 of 40 right, from 10 of 40: 50 and 70 points, 60 on average
    for part in ("+50.0 [", "+70.0 [", "null gain", "(few)", "SFT: as in the study", "RL: as in the study", "+60.0"):
        assert part in said, part
    reader = read(path)
    text = "".join(reader.texts)
    assert "16 other answers" in text
    assert "SFT: as in the study" in text
    assert [attributes["aria-label"] for tag, attributes in reader.tags if tag == "svg"][:2] == ["gain by level", "accuracy against length"]
    assert "rl" in text, "the run in the folder is shown"
    assert "<script>" not in path.read_text().replace("&lt;script&gt;", "")


def test_a_stage_is_named_after_its_strategy(tmp_path: Path) -> None:
    stage, alone = tmp_path / "progressive" / "stages" / "02_rl", tmp_path / "rl"
    for folder in (stage, alone):
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
    assert [name_of(open_existing(folder)) for folder in (stage, alone)] == ["progressive/02_rl", "rl"]


def test_a_report_of_nothing_is_still_a_page(tmp_path: Path) -> None:
    assert "nothing yet" in "".join(read(write_report(tmp_path / "x.html", title="nothing yet")).texts)


def test_estimates_without_interval_are_shown_as_such() -> None:
    from vlmpost.reports.tables import cell

    assert cell(Estimate(0.5, None, None, None, 3, 6)) == "50.0 (few)"
    assert cell(Estimate(0.5, 0.4, 0.6, 0.05, 40, 80)) == "50.0 [40.0, 60.0]"
    assert cell(None) == "-"
