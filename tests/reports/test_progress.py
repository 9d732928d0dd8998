from __future__ import annotations

import io

from rich.console import Console

from vlmpost.reports.progress import LiveProgress, PlainProgress, clock_text, figures_text, make_progress

ROW = {
    "loss": 0.5,
    "reward": 0.25,
    "length_tokens": 31.6,
    "truncated_share": 0.125,
    "flat_group_share": 0.5,
    "memory_gib": 1.25,
    "accuracy": None,
}


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _console(terminal=False):
    return Console(file=io.StringIO(), force_terminal=terminal, width=200)


def test_figures_show_what_the_row_has_in_a_fixed_order():
    assert figures_text(ROW) == "loss 0.5  reward 0.250  length 32  cut 12%  flat 50%  mem 1.2G"
    assert figures_text({}) == ""


def test_a_plain_line_has_step_rate_and_time_left():
    console, clock = _console(), _Clock()
    progress = PlainProgress(console, every_seconds=5, clock=clock)
    progress.start("rl", num_steps=10, done=4)
    clock.now += 4.0
    progress.step({"step": 6, "loss": 0.5})
    assert console.file.getvalue().splitlines() == [
        "rl: 10 steps, going on after step 4",
        "rl 6/10  2.0 s/step  eta 0:00:08  loss 0.5",  # 2 steps in 4 s, 4 steps left
    ]


def test_plain_lines_are_thinned_out_but_the_last_step_is_shown():
    console, clock = _console(), _Clock()
    progress = PlainProgress(console, every_seconds=5, clock=clock)
    progress.start("sft", num_steps=10, done=0)
    for step in range(1, 11):
        clock.now += 1.0
        progress.step({"step": step})
    shown = [line.split()[1] for line in console.file.getvalue().splitlines()[1:]]
    assert shown == ["1/10", "6/10", "10/10"]


def test_markup_in_a_note_is_text():
    console = _console()
    PlainProgress(console).note("[bold]x[/bold]")
    assert console.file.getvalue() == "[bold]x[/bold]\n"


def test_a_terminal_gets_a_live_bar_and_a_pipe_plain_lines():
    assert isinstance(make_progress(_console(terminal=True)), LiveProgress)
    assert isinstance(make_progress(_console()), PlainProgress)


def test_the_live_bar_shows_figures_and_can_be_stopped_twice():
    console = _console(terminal=True)
    progress = LiveProgress(console)
    progress.start("rl", num_steps=3, done=0)
    progress.step(ROW | {"step": 2})
    progress.note("doctor: [x]")
    progress.stop()
    progress.stop()
    shown = console.file.getvalue()
    assert "2/3" in shown and "reward 0.250" in shown and "doctor: [x]" in shown


def test_hours_are_shown_and_nothing_goes_below_zero():
    assert clock_text(59.6) == "0:01:00"
    assert clock_text(-3) == "0:00:00"
