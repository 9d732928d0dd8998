"""The table of strategies for the report: its pictures, its rows, what a second look over seeds shows, and a sentence for each row."""

from __future__ import annotations

from collections.abc import Sequence

from vlmpost.evaluation.statistics import Difference
from vlmpost.reports import bars
from vlmpost.reports.strategies import LEVELS, Measured, Table, headings, rows, seed_headings

_SECTION = """<h2>Strategies</h2>
<p>{{ note }} Gains are paired differences from the base in points, * where the 95 % interval excludes 0. The null gain is what an unchanged
base would seem to gain, had the answers that gave the levels measured it too.</p>
<div class="wide"><table>
<tr>{% for name in headings %}<th{% if not loop.first %} class="number"{% endif %}>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for text in row %}<td{% if not loop.first %} class="number"{% endif %}>{{ text }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% if seed_rows %}
<h2>Over seeds</h2>
<p>The mean over training seeds, with the smallest and the largest.</p>
<div class="wide"><table>
<tr>{% for name in seed_headings %}<th{% if not loop.first %} class="number"{% endif %}>{{ name }}</th>{% endfor %}</tr>
{% for row in seed_rows %}<tr>{% for text in row %}<td{% if not loop.first %} class="number"{% endif %}>{{ text }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% endif %}
<p>{% for name, color in legend %}<span class="swatch" style="background:{{ color }}"></span>{{ name }} &nbsp; {% endfor %}</p>
<div class="wide">{{ gains }}</div>
<p class="muted">Gain over the base by level, points, with 95 % intervals</p>
<div class="wide">{{ trade_off }}</div>
<p class="muted">Accuracy against length</p>
{% if sentences %}
<h2>Against the study</h2>
<ul>{% for sentence in sentences %}<li>{{ sentence }}</li>
{% endfor %}</ul>
{% endif %}
"""


def section(table: Table, *, note: str, seed_rows: Sequence[Sequence[str]] = (), sentences: Sequence[str] = ()) -> str:
    """Returns the section as markup; every text in it is escaped.

    Args:
        table: What was measured.
        note: Where questions and levels come from, in one or two sentences.
        seed_rows: Rows of `seed_row`.
        sentences: One for each row, against the study.
    """
    import jinja2
    import markupsafe

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    models = (table.base, *table.others)
    return environment.from_string(_SECTION).render(
        note=note,
        headings=headings(table),
        rows=rows(table),
        seed_headings=seed_headings(),
        seed_rows=seed_rows,
        legend=[(model.name, _color(index)) for index, model in enumerate(models)],
        gains=markupsafe.Markup(gains_picture(table)),
        trade_off=markupsafe.Markup(trade_off_picture(table)),
        sentences=sentences,
    )


def gains_picture(table: Table) -> str:
    """Returns the gains over the base by level, a bar for each model but the base; levels of too few questions stay empty."""
    groups = [f"L{level}" for level in LEVELS]
    return bars.grouped_bars(
        groups, [_series(table, model, index) for index, model in enumerate(table.others, 1)], title="gain by level", unit="points"
    )


def trade_off_picture(table: Table) -> str:
    """Returns accuracy against tokens per answer."""
    dots = []
    for index, model in enumerate((table.base, *table.others)):
        if model.result.accuracy is not None:
            dots.append(bars.Dot(model.name, _color(index), model.result.mean_tokens, 100 * model.result.accuracy.mean))
    return bars.scatter(dots, title="accuracy against length", across="tokens per answer", up="accuracy, %")


def _series(table: Table, model: Measured, index: int) -> bars.Series:
    return bars.Series(model.name, _color(index), tuple(_bar(table.gain(model, level=level)) for level in LEVELS))


def _bar(difference: Difference | None) -> bars.Bar | None:
    return None if difference is None else bars.Bar(100 * difference.mean, 100 * difference.low, 100 * difference.high)


def _color(index: int) -> str:
    return bars.PALETTE[index % len(bars.PALETTE)]
